//! What a file is, told by its first bytes and not by its name.

use std::{
    fmt, fs,
    io::{self, Read},
    path::Path,
};

use flate2::read::GzDecoder;

/// As many bytes of a file as are looked at: the mark of a tar archive, the farthest, stands at byte 257.
const HEAD: usize = 4096;

/// What a file is.
///
/// ```
/// use ddpm::files::FileKind;
///
/// let kind = FileKind::of_bytes(b"PK\x03\x04 and so on");
/// assert_eq!((kind, kind.to_string().as_str()), (FileKind::Zip, "a zip archive"));
/// assert!(kind.next_step().starts_with("unpack it"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A pipe, also that of a shell: `<(…)`.
    Pipe,
    /// A device, as `/dev/zero`.
    Device,
    /// A socket.
    Socket,
    /// A file without a byte.
    Empty,
    /// A PNG picture.
    Png,
    /// A JPEG picture.
    Jpeg,
    /// A GIF picture.
    Gif,
    /// A picture of another kind, by its usual name: WebP, TIFF, BMP, HEIC, AVIF.
    Picture(&'static str),
    /// An IDX file, by the number of its axes: 1 for labels, 3 for images.
    Idx(u8),
    /// A gzipped IDX file, by the number of its axes.
    GzippedIdx(u8),
    /// A gzipped tar archive.
    GzippedTar,
    /// A gzipped pickle of Python.
    GzippedPickle,
    /// Any other gzipped file.
    Gzip,
    /// A file that another program packed: bzip2, xz, zstd, 7z, rar.
    Packed(&'static str),
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
    /// Arrays that NumPy wrote with `savez`.
    Npz,
    /// An array that NumPy wrote with `save`.
    Npy,
    /// Weights that PyTorch wrote with `torch.save`: `.bin`, `.pt`, `.pth`, `.ckpt`.
    PyTorch,
    /// A document or a spreadsheet of an office program.
    Office,
    /// A pickle of Python.
    Pickle,
    /// A safetensors file.
    Safetensors,
    /// An HDF5 file, as Keras writes them.
    Hdf5,
    /// A Parquet table.
    Parquet,
    /// A PDF document.
    Pdf,
    /// The text that stands in the place of a file that git-lfs has not fetched.
    LfsPointer,
    /// A page of the web.
    Html,
    /// JSON text.
    Json,
    /// Text whose first rows have numbers between commas, semicolons, tabs or spaces.
    Table,
    /// Any other text in UTF-8.
    Text,
    /// Text in UTF-16.
    Utf16,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// What lies at a path. Only a regular file is opened: a pipe or a device would give bytes without an end, or none.
    ///
    /// # Errors
    /// The system's, if there is nothing at the path or it cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if let Some(kind) = Self::not_a_file(&metadata) {
            return Ok(kind);
        }
        let mut head = Vec::new();
        fs::File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
        Ok(Self::of_bytes(&head))
    }

    /// What is no regular file.
    pub(super) fn not_a_file(metadata: &fs::Metadata) -> Option<Self> {
        let kind = metadata.file_type();
        if kind.is_file() {
            return None;
        }
        if kind.is_dir() {
            return Some(Self::Folder);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            if kind.is_fifo() {
                return Some(Self::Pipe);
            }
            if kind.is_socket() {
                return Some(Self::Socket);
            }
        }
        Some(Self::Device)
    }

    /// What a file is that begins with these bytes; some thousand are enough.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(HEAD)];
        if head.is_empty() {
            return Self::Empty;
        }
        if head.starts_with(&[0x1f, 0x8b]) {
            return Self::of_gzipped(head);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return Self::of_zip(head);
        }
        Self::by_mark(head).or_else(|| Self::by_structure(head)).unwrap_or_else(|| Self::of_text(head))
    }

    /// What begins with bytes of its own.
    fn by_mark(head: &[u8]) -> Option<Self> {
        let marks: [(&[u8], Self); 17] = [
            (b"\x89PNG\r\n\x1a\n", Self::Png),
            (b"\xff\xd8\xff", Self::Jpeg),
            (b"GIF87a", Self::Gif),
            (b"GIF89a", Self::Gif),
            (b"II*\0", Self::Picture("TIFF")),
            (b"MM\0*", Self::Picture("TIFF")),
            (b"\xff\x0a", Self::Picture("JPEG XL")),
            (b"BZh", Self::Packed("bzip2")),
            (b"\xfd7zXZ\0", Self::Packed("xz")),
            (b"\x28\xb5\x2f\xfd", Self::Packed("zstd")),
            (b"7z\xbc\xaf\x27\x1c", Self::Packed("7z")),
            (b"Rar!\x1a\x07", Self::Packed("rar")),
            (b"\x93NUMPY", Self::Npy),
            (b"\x89HDF\r\n\x1a\n", Self::Hdf5),
            (b"PAR1", Self::Parquet),
            (b"%PDF-", Self::Pdf),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Self::Office),
        ];
        marks.into_iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, kind)| kind)
    }

    /// What is told by more than its first bytes.
    fn by_structure(head: &[u8]) -> Option<Self> {
        let at = |from: usize, text: &[u8]| head.get(from..from + text.len()) == Some(text);
        if at(0, b"RIFF") && at(8, b"WEBP") {
            return Some(Self::Picture("WebP"));
        }
        if at(4, b"ftypavif") {
            return Some(Self::Picture("AVIF"));
        }
        if [&b"heic"[..], b"heix", b"hevc", b"mif1"].iter().any(|brand| at(4, b"ftyp") && at(8, brand)) {
            return Some(Self::Picture("HEIC"));
        }
        if at(0, b"BM") && at(6, &[0; 4]) {
            return Some(Self::Picture("BMP"));
        }
        if at(257, b"ustar") {
            return Some(Self::Tar);
        }
        if let Some(axes) = idx_axes(head) {
            return Some(Self::Idx(axes));
        }
        // protocol 2 to 5 of a pickle, and what one begins with: a frame, a mark, a tuple, an empty dictionary or list, a global
        let pickled = matches!(head, [0x80, 2..=5, 0x95 | b'(' | b'}' | b']' | b')' | b'c' | 0x8a, ..]);
        if pickled {
            return Some(Self::Pickle);
        }
        // a safetensors file: eight bytes with the length of the JSON that follows
        let length = head.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        if length.is_some_and(|length| length < 1 << 40) && at(8, b"{") {
            return Some(Self::Safetensors);
        }
        None
    }

    fn of_gzipped(head: &[u8]) -> Self {
        // the head ends in the middle of the packed data: what was unpacked before the error is what is looked at
        let (mut inner, mut unpacked) = ([0; 512], 0);
        let mut decoder = GzDecoder::new(head);
        while let Ok(read @ 1..) = decoder.read(&mut inner[unpacked..]) {
            unpacked += read;
        }
        match Self::by_structure(&inner[..unpacked]) {
            Some(Self::Idx(axes)) => Self::GzippedIdx(axes),
            Some(Self::Tar) => Self::GzippedTar,
            Some(Self::Pickle) => Self::GzippedPickle,
            _ => Self::Gzip,
        }
    }

    /// A zip archive by the name of its first file, which NumPy, PyTorch and office programs have of their own.
    fn of_zip(head: &[u8]) -> Self {
        let length = head.get(26..28).map_or(0, |bytes| usize::from(bytes[0]) | usize::from(bytes[1]) << 8);
        let name = head.get(30..30 + length).unwrap_or_default();
        if name.ends_with(b".npy") {
            Self::Npz
        } else if name.ends_with(b"data.pkl") || name.ends_with(b".format_version") {
            Self::PyTorch
        } else if name == b"[Content_Types].xml" || name == b"mimetype" || name.starts_with(b"_rels/") {
            Self::Office
        } else {
            Self::Zip
        }
    }

    fn of_text(head: &[u8]) -> Self {
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Self::Utf16;
        }
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            // the head may end within a character
            Err(error) if head.len() == HEAD && error.error_len().is_none() => {
                std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return Self::Unknown,
        };
        if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return Self::Unknown;
        }
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let begins = |words: &[&str]| {
            words.iter().any(|word| {
                text.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
            })
        };
        if begins(&["version https://git-lfs"]) {
            Self::LfsPointer
        } else if begins(&["<!doctype html", "<html", "<head"]) {
            Self::Html
        } else if text.starts_with(['{', '[']) {
            Self::Json
        } else if is_table(text) {
            Self::Table
        } else {
            Self::Text
        }
    }

    /// What to do with a file of this kind where another kind is wanted.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::Folder => "give a file in it",
            Self::Pipe | Self::Device | Self::Socket => {
                "write what it gives to a file first, and give that file"
            }
            Self::Empty => "fetch or save it again",
            Self::Png | Self::Jpeg => "give the folder of the pictures, or a file of the kind that is wanted",
            Self::Gif | Self::Picture(_) => "export it as PNG",
            Self::Idx(1) | Self::GzippedIdx(1) => "give the file of the images beside it",
            Self::Idx(3) | Self::GzippedIdx(3) => "give it where images are wanted: with --data or --digits",
            Self::Idx(_) | Self::GzippedIdx(_) => "give a file of images, which has three axes",
            Self::GzippedTar => "unpack it (tar -xzf FILE) and give the folder",
            Self::GzippedPickle => {
                "unpack it (gunzip FILE) and convert it in Python: a pickle can run code, so it is not read"
            }
            Self::Gzip => "unpack it (gunzip FILE) and give what is in it",
            Self::Packed(_) => "unpack it and give what is in it",
            Self::Tar => "unpack it (tar -xf FILE) and give the folder",
            Self::Zip => "unpack it (unzip FILE -d FOLDER) and give the folder",
            Self::Npz | Self::Npy => {
                "convert it in Python: numpy.load(FILE), then save the images as PNG pictures in a folder, points with numpy.savetxt(FILE, points, delimiter=\",\")"
            }
            Self::PyTorch => {
                "convert it in Python: from safetensors.torch import save_file; save_file(torch.load(FILE, weights_only=True), \"diffusion_pytorch_model.safetensors\")"
            }
            Self::Office => "export the table as CSV",
            Self::Pickle => "convert it in Python: a pickle can run code, so it is not read",
            Self::Safetensors => "give it where weights are wanted: with --checkpoint or --weights",
            Self::Hdf5 | Self::Parquet => "convert it in Python to a kind that is read here",
            Self::Pdf => "export what is in it as PNG or CSV",
            Self::LfsPointer => "fetch the file itself: git lfs install, then git lfs pull in its repository",
            Self::Html => {
                "open it in a browser: it may say why the download failed; then fetch the file itself"
            }
            Self::Json => "give it where settings are wanted: with --network",
            Self::Table => "give it where points are wanted: with --points",
            Self::Text | Self::Unknown => "check the path, and that the file is whole",
            Self::Utf16 => "save it as UTF-8",
        }
    }
}

/// The kind with its article: “a zip archive”.
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Folder => "a folder",
            Self::Pipe => "a pipe",
            Self::Device => "a device",
            Self::Socket => "a socket",
            Self::Empty => "an empty file",
            Self::Png => "a PNG picture",
            Self::Jpeg => "a JPEG picture",
            Self::Gif => "a GIF picture",
            Self::Picture(name) => return write!(f, "a {name} picture"),
            Self::Idx(1) => "an IDX file of labels",
            Self::Idx(3) => "an IDX file of images",
            Self::Idx(axes) => return write!(f, "an IDX file of {axes} axes"),
            Self::GzippedIdx(1) => "a gzipped IDX file of labels",
            Self::GzippedIdx(3) => "a gzipped IDX file of images",
            Self::GzippedIdx(axes) => return write!(f, "a gzipped IDX file of {axes} axes"),
            Self::GzippedTar => "a gzipped tar archive",
            Self::GzippedPickle => "a gzipped pickle of Python",
            Self::Gzip => "a gzipped file",
            Self::Packed(program) => return write!(f, "a file packed with {program}"),
            Self::Tar => "a tar archive",
            Self::Zip => "a zip archive",
            Self::Npz => "arrays of NumPy (.npz)",
            Self::Npy => "an array of NumPy (.npy)",
            Self::PyTorch => "weights that PyTorch pickled (.bin, .pt)",
            Self::Office => "a document of an office program",
            Self::Pickle => "a pickle of Python",
            Self::Safetensors => "a safetensors file",
            Self::Hdf5 => "an HDF5 file",
            Self::Parquet => "a Parquet table",
            Self::Pdf => "a PDF document",
            Self::LfsPointer => "the text that git-lfs leaves in place of a file that was not fetched",
            Self::Html => "a page of the web (HTML)",
            Self::Json => "JSON text",
            Self::Table => "a table of numbers as text",
            Self::Text => "text",
            Self::Utf16 => "text in UTF-16",
            Self::Unknown => "data of an unknown kind",
        };
        f.pad(text)
    }
}

/// The number of axes of an IDX file: two zeros, the type of its numbers, the number of axes.
fn idx_axes(head: &[u8]) -> Option<u8> {
    match *head {
        [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, axes @ 1..=4, ..] => Some(axes),
        _ => None,
    }
}

/// Whether one of the first lines has nothing but numbers, and at least two.
fn is_table(text: &str) -> bool {
    let numbers = |line: &str| {
        let mut fields = line.split([',', ';', '\t', ' ']).map(|field| field.trim().trim_matches('"'));
        let mut count = 0;
        let all = fields.all(|field| {
            count += usize::from(!field.is_empty());
            field.is_empty() || field.replace('\u{2212}', "-").parse::<f64>().is_ok()
        });
        all && count >= 2
    };
    text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).take(8).any(numbers)
}
