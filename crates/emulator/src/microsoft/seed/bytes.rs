//! Small valid files, written byte by byte.

use std::fmt::Write as _;

use crate::rng::SplitMix;

const WORDS: [&str; 16] = [
    "châssis", "vitrage", "profilé", "appui", "tableau", "dormant", "ouvrant", "joint", "pose", "cote",
    "lot", "réserve", "chantier", "plan", "façade", "relevé",
];

pub(super) fn text(title: &str, dice: &mut SplitMix) -> Vec<u8> {
    let mut out = format!("{title}\n\n");
    for _ in 0..2 + dice.below(8) {
        for _ in 0..6 + dice.below(8) {
            out.push_str(dice.pick::<&str>(&WORDS));
            out.push(' ');
        }
        out.push('\n');
    }
    out.into_bytes()
}

pub(super) fn csv(title: &str, dice: &mut SplitMix) -> Vec<u8> {
    let mut out = format!("# {title}\nrepère;désignation;quantité;prix\n");
    for row in 1..=3 + dice.below(12) {
        let word = dice.pick(&WORDS);
        let (count, price) = (1 + dice.below(40), 50 + dice.below(2000));
        let _ = writeln!(out, "R{row:02};{word};{count};{price},00");
    }
    out.into_bytes()
}

/// One page with the title on it, in ASCII.
pub(super) fn pdf(title: &str) -> Vec<u8> {
    let shown: String =
        title.chars().map(|c| if c.is_ascii() && !"()\\".contains(c) { c } else { '_' }).collect();
    let drawing = format!("BT /F1 18 Tf 72 760 Td ({shown}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{drawing}\nendstream", drawing.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        let _ = write!(out, "{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let table = out.len();
    let _ = write!(out, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(out, "{offset:010} 00000 n ");
    }
    let _ =
        write!(out, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    out.into_bytes()
}

/// A grey picture; the pixels are stored, not compressed.
pub(super) fn png(width: u32, height: u32, dice: &mut SplitMix) -> Vec<u8> {
    let mut pixels = Vec::new();
    let (slope, shade) = (1 + dice.below(7) as u32, dice.below(128) as u32);
    for y in 0..height {
        pixels.push(0);
        pixels.extend((0..width).map(|x| (shade + x * slope + y * 3) as u8));
    }
    let mut zlib = vec![0x78, 0x01, 0x01];
    let length = pixels.len() as u16;
    zlib.extend_from_slice(&length.to_le_bytes());
    zlib.extend_from_slice(&(!length).to_le_bytes());
    zlib.extend_from_slice(&pixels);
    zlib.extend_from_slice(&adler32(&pixels).to_be_bytes());
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header.as_slice()), (b"IDAT", &zlib), (b"IEND", &[])] {
        out.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let from = out.len();
        out.extend_from_slice(kind);
        out.extend_from_slice(data);
        let check = crc32(&out[from..]);
        out.extend_from_slice(&check.to_be_bytes());
    }
    out
}

/// A document with one paragraph.
pub(super) fn docx(title: &str) -> Vec<u8> {
    let shown = title.replace('&', "&amp;").replace('<', "&lt;");
    zip(&[
        (
            "[Content_Types].xml",
            r#"<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>"#.into(),
        ),
        (
            "_rels/.rels",
            r#"<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>"#.into(),
        ),
        (
            "word/document.xml",
            format!(
                r#"<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{shown}</w:t></w:r></w:p></w:body></w:document>"#
            ),
        ),
    ])
}

/// An archive of stored files, dated 1980-01-01.
fn zip(files: &[(&str, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = out.len() as u32;
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, midnight, 1980-01-01.
        for word in [20_u16, 0, 0, 0, 0x21] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        for word in [crc32(content.as_bytes()), content.len() as u32, content.len() as u32] {
            common.extend_from_slice(&word.to_le_bytes());
        }
        common.extend_from_slice(&(name.len() as u16).to_le_bytes());
        common.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(content.as_bytes());
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, size, count) = (out.len() as u32, directory.len() as u32, files.len() as u16);
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&0_u16.to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    (b << 16) | a
}
