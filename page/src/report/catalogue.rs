//! The chapters, in their order: their names and the questions they answer.

/// A chapter's name, which is also its command's, and the question it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The name of its program: `ch01_forward`.
    pub name: &'static str,
    /// The question it answers, in one line.
    pub question: &'static str,
}

/// All chapters, in their order.
pub const CHAPTERS: &[Entry] = &[
    entry("ch01_forward", "What does the forward chain do, and is x_T Gaussian for this T?"),
    entry("ch02_vlb", "Where do L_T, L_{t−1} and L_0 come from, and how tight is their bound?"),
    entry("ch03_posterior", "Why many small steps, and why is q(x_{t−1}|x_t, x_0) this Gaussian?"),
    entry("ch04_objective", "How does the KL divergence become ‖ε − ε_θ‖²?"),
    entry("ch05_training", "How does a hand-written network learn ε_θ, and what does L_simple change?"),
    entry("ch06_sampling", "How do samples come out of ε_θ, and with which variance?"),
    entry(
        "ch07_likelihood",
        "How many bits does the trained model need, term by term, and how many must it?",
    ),
    entry("ch08_score", "What has ε_θ to do with the score, and what do SDEs and their ODE buy?"),
    entry("ch09_fast_sampling", "How few calls of the network will do, and what do the few calls cost?"),
    entry("ch10_trilemma", "VAE, GAN and DDPM on one budget: who has quality, coverage, speed?"),
    entry("ch11_bugs", "Your samples look wrong: which of seventeen bugs is it, and what gives it away?"),
    entry(
        "ch12_convolution",
        "From arrays to tensors: what is convolution as a matrix product, and how fast?",
    ),
    entry("ch13_unet", "What is in the paper’s U-Net, block by block, and what does each block cost?"),
    entry("ch14_train_images", "How does Algorithm 1 train a U-Net on images, and survive being killed?"),
    entry("ch15_sample_images", "How are images drawn: Algorithm 2, DDIM, and what else can the chain do?"),
    entry("ch16_evaluate_images", "How good are the images: bits/dim, FID, and did it memorise?"),
];

const fn entry(name: &'static str, question: &'static str) -> Entry {
    Entry { name, question }
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
    find(name).unwrap_or_else(|| panic!("{name} is not in the catalogue")).question
}
