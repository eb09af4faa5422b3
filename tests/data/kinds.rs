use std::{fs, io::Write};

use ddpm::{
    Error,
    files::{FileKind, Input},
};
use flate2::{Compression, write::GzEncoder};

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

/// A zip archive's first bytes, with the name of its first file.
fn zip(name: &str) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend([0; 22]);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(name.bytes());
    bytes
}

fn tar() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..5].copy_from_slice(b"a.png");
    bytes[257..262].copy_from_slice(b"ustar");
    bytes
}

const INPUT: Input = Input { action: "read it", expected: "a table", remedy: "check the path" };

#[test]
fn a_file_is_told_by_its_first_bytes() {
    let safetensors = [&30_u64.to_le_bytes()[..], b"{\"__metadata__\":{}}"].concat();
    let cases: [(&[u8], FileKind); 37] = [
        (b"", FileKind::Empty),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", FileKind::Png),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", FileKind::Jpeg),
        (b"GIF89a\0\0", FileKind::Gif),
        (b"RIFF\0\0\0\0WEBPVP8 ", FileKind::Picture("WebP")),
        (b"\0\0\0\x18ftypheic", FileKind::Picture("HEIC")),
        (b"II*\0", FileKind::Picture("TIFF")),
        (&[0, 0, 8, 3, 0, 0, 0, 1], FileKind::Idx(3)),
        (&[0, 0, 8, 1, 0, 0, 0, 1], FileKind::Idx(1)),
        (&gzipped(&[0, 0, 8, 3, 0, 0, 0, 1]), FileKind::GzippedIdx(3)),
        (&gzipped(&tar()), FileKind::GzippedTar),
        (&gzipped(b"\x80\x04\x95\0\0"), FileKind::GzippedPickle),
        (&gzipped(b"some text"), FileKind::Gzip),
        (&tar(), FileKind::Tar),
        (&zip("p.png"), FileKind::Zip),
        (&zip("arr_0.npy"), FileKind::Npz),
        (&zip("archive/data.pkl"), FileKind::PyTorch),
        (&zip("[Content_Types].xml"), FileKind::Office),
        (b"PK\x03\x04", FileKind::Zip),
        (b"\x93NUMPY\x01\0", FileKind::Npy),
        (b"\x80\x04\x95\x10\0", FileKind::Pickle),
        (b"\x80\x02}q\0", FileKind::Pickle),
        (&safetensors, FileKind::Safetensors),
        (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
        (b"%PDF-1.7", FileKind::Pdf),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", FileKind::LfsPointer),
        (b"\n <!DOCTYPE html><html>", FileKind::Html),
        (b"\xef\xbb\xbf{\"a\": 1}", FileKind::Json),
        (b"1,2\n3,4\n", FileKind::Table),
        (b"# drawn by hand\nx;y\n1,5;2,5\n", FileKind::Table),
        (b"x;y\n1.5;-2.5\n", FileKind::Table),
        ("x,y\n1,\u{2212}2\n".as_bytes(), FileKind::Table),
        (b"a line\nand another, with words\n", FileKind::Text),
        (b"\xff\xfex\0,\0y\0", FileKind::Utf16),
        (b"\xfd7zXZ\0", FileKind::Packed("xz")),
        (&[b'1', b',', 0xff], FileKind::Unknown),
        (&[0; 64], FileKind::Unknown),
    ];
    for (bytes, kind) in cases {
        assert_eq!(FileKind::of_bytes(bytes), kind, "{:?}", String::from_utf8_lossy(bytes));
        assert!(!kind.to_string().is_empty() && !kind.next_step().is_empty());
        assert_eq!(FileKind::of_bytes(&bytes[..bytes.len().min(1)]) == FileKind::Empty, bytes.is_empty());
    }
    // The head that is looked at may end within a character.
    let long = ["a"; 4095].concat() + "é and so on";
    assert_eq!(FileKind::of_bytes(long.as_bytes()), FileKind::Text);
}

#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &std::path::Path| match INPUT.read(path, 100).expect_err("refused") {
        error @ Error::Content { .. } => error.to_string(),
        error => panic!("{error:?}"),
    };
    assert_eq!(FileKind::of(folder.path()).unwrap(), FileKind::Folder);
    assert!(refused(folder.path()).ends_with("found a folder, expected a table; give a file in it"));
    #[cfg(unix)]
    {
        // A pipe without a writer would wait for ever, a device gives zeros for ever.
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        assert!(refused(&pipe).contains("found a pipe, expected a table"), "{}", refused(&pipe));
        assert!(refused("/dev/zero".as_ref()).contains("found a device, expected a table"));
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).expect("bound");
        assert!(refused(&folder.path().join("socket")).contains("found a socket, expected a table"));
    }
    let missing = INPUT.read(&folder.path().join("nowhere"), 100).expect_err("missing");
    assert!(matches!(&missing, Error::File { .. }), "{missing:?}");
    assert!(
        missing.to_string().contains("cannot read it") && missing.to_string().ends_with("check the path")
    );
}

#[test]
fn no_more_is_read_than_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("table.csv");
    fs::write(&path, "1,2\n").expect("written");
    assert_eq!(INPUT.read(&path, 4).expect("read"), b"1,2\n");
    let error = INPUT.read(&path, 3).expect_err("too long").to_string();
    assert!(error.contains("found 4 bytes, expected a table; at most 3 bytes are read"), "{error}");
    // A file that is as long as a disk holds no byte of it, and takes none.
    fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    let error = INPUT.read(&path, 1 << 20).expect_err("too long").to_string();
    assert!(error.contains("1099511627776 bytes"), "{error}");
}
