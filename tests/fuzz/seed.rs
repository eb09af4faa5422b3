//! Good files, taken apart: what is changed in a part comes out as a whole file again, with the lengths and checksums that it
//! must have, so that a change gets past the first look.
#![allow(dead_code, reason = "each test file uses its own part")]

use flate2::{
    Compression, Crc,
    read::ZlibDecoder,
    write::{GzEncoder, ZlibEncoder},
};
use std::io::{Read, Write};

/// A good file in parts.
#[derive(Debug, Clone)]
pub struct Seed {
    /// What can be changed by itself.
    pub parts: Vec<Vec<u8>>,
    assemble: fn(&[Vec<u8>]) -> Vec<u8>,
}

impl Seed {
    /// A file without parts.
    pub fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self { parts: vec![bytes.into()], assemble: <[Vec<u8>]>::concat }
    }

    /// An IDX file: the numbers of its header, and its bytes.
    pub fn idx(header: &[u32], bytes: &[u8]) -> Self {
        let header = header.iter().flat_map(|number| number.to_be_bytes()).collect();
        Self { parts: vec![header, bytes.into()], assemble: <[Vec<u8>]>::concat }
    }

    /// The same file, packed by gzip.
    pub fn gzipped(self) -> Self {
        Self { assemble: gzip, ..self }
    }

    /// A safetensors file without its digest, as older programs wrote it: the text in its metadata without its escapes, what stands
    /// around it in the header, and the numbers. The header's length stands before them.
    ///
    /// # Panics
    /// If the metadata does not hold one text, beside the digest.
    #[track_caller]
    pub fn safetensors(file: &[u8]) -> Self {
        let (length, rest) = file.split_first_chunk().expect("a length of 8 bytes");
        let (header, numbers) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header = str::from_utf8(header).expect("text");
        let metadata = header.strip_prefix(METADATA).expect("metadata first");
        let (digest, key) = (format!("\"{}\":\"", ddpm::digest::KEY), "\":\"");
        let metadata = match metadata.strip_prefix(&digest) {
            Some(digest) => digest.split_once("\",").expect("another key").1,
            None => metadata,
        };
        let start = metadata.find(key).expect("a key with a text") + key.len();
        let end = metadata.replace(r#"\""#, "__").find(r#""}"#).expect("one text");
        let before = [METADATA, &metadata[..start]].concat();
        let text = metadata[start..end].replace(r#"\""#, r#"""#);
        let parts = vec![before.into(), text.into(), metadata[end..].into(), numbers.into()];
        Self { parts, assemble: safetensors }
    }

    /// A PNG picture: the name and the content of each chunk, with the image data unpacked; lengths and checksums stand around
    /// them.
    pub fn png(file: &[u8]) -> Self {
        let (mut parts, mut packed, mut rest) = (Vec::new(), Vec::new(), &file[PNG.len()..]);
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (chunk, after) = after.split_at(4 + u32::from_be_bytes(*length) as usize);
            match chunk.strip_prefix(IMAGE_DATA) {
                Some(more) => packed.extend(more),
                None => parts.push(chunk.to_vec()),
            }
            rest = &after[4..]; // past the checksum
        }
        let mut image = IMAGE_DATA.to_vec();
        ZlibDecoder::new(packed.as_slice()).read_to_end(&mut image).expect("image data");
        parts.insert(parts.len() - 1, image); // before the end
        Self::png_chunks(parts)
    }

    /// A PNG picture of these chunks.
    pub fn png_chunks(parts: Vec<Vec<u8>>) -> Self {
        Self { parts, assemble: png }
    }

    /// The file as it is.
    pub fn bytes(&self) -> Vec<u8> {
        self.assembled(&self.parts)
    }

    /// The file of other parts.
    pub fn assembled(&self, parts: &[Vec<u8>]) -> Vec<u8> {
        (self.assemble)(parts)
    }
}

/// What the header of a safetensors file begins with.
const METADATA: &str = r#"{"__metadata__":{"#;
/// What a PNG picture begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const IMAGE_DATA: &[u8] = b"IDAT";

fn gzip(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&parts.concat()).and_then(|()| encoder.finish()).expect("a vector grows")
}

fn safetensors(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut header = parts[0].clone();
    for &byte in &parts[1] {
        header.extend((byte == b'"').then_some(b'\\'));
        header.push(byte);
    }
    header.extend(&parts[2]);
    [&(header.len() as u64).to_le_bytes()[..], &header, &parts[3]].concat()
}

fn png(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut file = PNG.to_vec();
    for part in parts {
        let packed = part.strip_prefix(IMAGE_DATA).map(|image| {
            let mut encoder = ZlibEncoder::new(IMAGE_DATA.to_vec(), Compression::fast());
            encoder.write_all(image).and_then(|()| encoder.finish()).expect("a vector grows")
        });
        let chunk = packed.as_ref().unwrap_or(part);
        let mut checksum = Crc::new();
        checksum.update(chunk);
        file.extend((chunk.len().saturating_sub(4) as u32).to_be_bytes());
        file.extend(chunk);
        file.extend(checksum.sum().to_be_bytes());
    }
    file
}
