//! The chapters, in their order: their names, the questions they answer, and how long they take.

/// The parts of the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Two-dimensional points, networks written by hand.
    Points,
    /// Images, networks of tensors.
    Images,
    /// After the paper: targets, guidance, flow matching; on points.
    AfterPaper,
}

/// A chapter's name, which is also its command's, the question it answers, and how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The name of its program: `ch01_forward`.
    pub name: &'static str,
    /// The question it answers, in one line.
    pub question: &'static str,
    /// The part that it belongs to.
    pub part: Part,
    /// The seconds of a run in full and of one with `--quick`, on an idle machine of two cores; compiling is not counted. In full, those of
    /// ch15 and ch16 are estimates, from runs that shared the machine and, for ch16, had more samplers.
    pub seconds: (u32, u32),
}

/// All chapters, in their order.
pub const CHAPTERS: &[Entry] = &[
    Entry {
        name: "ch01_forward",
        question: "What does the forward chain do, and is x_T Gaussian for this T?",
        part: Part::Points,
        seconds: (7, 3),
    },
    Entry {
        name: "ch02_vlb",
        question: "Where do L_T, L_{t−1} and L_0 come from, and how tight is their bound?",
        part: Part::Points,
        seconds: (1, 1),
    },
    Entry {
        name: "ch03_posterior",
        question: "Why many small steps, and why is q(x_{t−1}|x_t, x_0) this Gaussian?",
        part: Part::Points,
        seconds: (2, 1),
    },
    Entry {
        name: "ch04_objective",
        question: "How does the KL divergence become ‖ε − ε_θ‖²?",
        part: Part::Points,
        seconds: (2, 1),
    },
    Entry {
        name: "ch05_training",
        question: "How does a hand-written network learn ε_θ, and what does L_simple change?",
        part: Part::Points,
        seconds: (100, 14),
    },
    Entry {
        name: "ch06_sampling",
        question: "How do samples come out of ε_θ, and with which variance?",
        part: Part::Points,
        seconds: (127, 11),
    },
    Entry {
        name: "ch07_likelihood",
        question: "How many bits does the trained model need, term by term, and how many must it?",
        part: Part::Points,
        seconds: (91, 9),
    },
    Entry {
        name: "ch08_score",
        question: "What has ε_θ to do with the score, and what do SDEs and their ODE buy?",
        part: Part::Points,
        seconds: (32, 6),
    },
    Entry {
        name: "ch09_fast_sampling",
        question: "How few calls of the network will do, and what do the few calls cost?",
        part: Part::Points,
        seconds: (55, 7),
    },
    Entry {
        name: "ch10_trilemma",
        question: "VAE, GAN and DDPM on one budget: who has quality, coverage, speed?",
        part: Part::Points,
        seconds: (57, 5),
    },
    Entry {
        name: "ch11_bugs",
        question: "Your samples look wrong: which of twenty-three bugs is it, and what gives it away?",
        part: Part::Points,
        seconds: (14, 4),
    },
    Entry {
        name: "ch12_convolution",
        question: "From arrays to tensors: what is convolution as a matrix product, and how fast?",
        part: Part::Images,
        seconds: (12, 2),
    },
    Entry {
        name: "ch13_unet",
        question: "What is in the paper’s U-Net, block by block, and what does each block cost?",
        part: Part::Images,
        seconds: (3, 1),
    },
    Entry {
        name: "ch14_train_images",
        question: "How does Algorithm 1 train a U-Net on images, and survive being killed?",
        part: Part::Images,
        seconds: (900, 13),
    },
    Entry {
        name: "ch15_sample_images",
        question: "How are images drawn: Algorithm 2, DDIM, and what else can the chain do?",
        part: Part::Images,
        seconds: (300, 11),
    },
    Entry {
        name: "ch16_evaluate_images",
        question: "How good are the images: bits/dim, FID, and did it memorise?",
        part: Part::Images,
        seconds: (600, 45),
    },
    Entry {
        name: "ch17_targets",
        question: "What should the network predict, and how should its errors count?",
        part: Part::AfterPaper,
        seconds: (96, 9),
    },
    Entry {
        name: "ch18_guidance",
        question: "How do you ask for a 7, and what do you get when you insist?",
        part: Part::AfterPaper,
        seconds: (41, 4),
    },
    Entry {
        name: "ch19_flow_matching",
        question: "What if the path from data to noise is straight?",
        part: Part::AfterPaper,
        seconds: (36, 5),
    },
];

impl Entry {
    /// How long it runs, for `--help`: “Runs for about 2 minutes, or 20 seconds with --quick”.
    pub fn running_time(&self) -> String {
        let words = |seconds: u32| match seconds {
            0..2 => "a second".to_owned(),
            2..100 => format!("{seconds} seconds"),
            _ => format!("{:.0} minutes", f64::from(seconds) / 60.0),
        };
        let (full, quick) = self.seconds;
        format!(
            "It runs for about {}, or {} with --quick, on two cores of a laptop; the first command also compiles.",
            words(full),
            words(quick)
        )
    }

    /// The chapter that follows.
    pub fn next(&self) -> Option<&'static Entry> {
        let place = CHAPTERS.iter().position(|entry| entry.name == self.name)?;
        CHAPTERS.get(place + 1)
    }
}

/// The chapter of a name.
///
/// ```
/// use ddpm_page::report::catalogue;
///
/// let chapter = catalogue::find("ch01_forward").unwrap();
/// assert!(chapter.question.contains("forward chain"));
/// assert!(catalogue::find("ch99_nothing").is_none());
/// ```
pub fn find(name: &str) -> Option<&'static Entry> {
    CHAPTERS.iter().find(|entry| entry.name == name)
}

/// The question that a chapter's `--help` opens with.
///
/// ```
/// assert!(ddpm_page::report::catalogue::question("ch01_forward").ends_with('?'));
/// ```
///
/// # Panics
/// If there is no chapter of this name.
#[track_caller]
pub fn question(name: &str) -> &'static str {
    expect(name).question
}

/// How long a chapter runs, for the end of its `--help`.
///
/// ```
/// assert!(ddpm_page::report::catalogue::running_time("ch01_forward").contains("--quick"));
/// ```
///
/// # Panics
/// If there is no chapter of this name.
#[track_caller]
pub fn running_time(name: &str) -> String {
    expect(name).running_time()
}

#[track_caller]
pub(super) fn expect(name: &str) -> &'static Entry {
    find(name).unwrap_or_else(|| panic!("{name} is not in the catalogue"))
}
