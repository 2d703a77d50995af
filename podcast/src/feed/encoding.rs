//! The bytes of a document as text: UTF-8, UTF-16 by its mark, and the encodings of one byte that old feeds have.

use std::borrow::Cow;

use super::NotFeed;

/// Bytes in which the declaration is looked for.
const DECLARATION_BYTES: usize = 256;

/// What Windows-1252 has at 0x80 to 0x9f, where ISO 8859-1 has controls that nobody means.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text. Bytes that are no UTF-8 where it should be become replacement characters: a title with a broken letter is
/// better than no feed.
pub(super) fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, NotFeed> {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return Ok(String::from_utf8_lossy(rest));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return Ok(Cow::Owned(utf16(rest, u16::from_le_bytes)));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return Ok(Cow::Owned(utf16(rest, u16::from_be_bytes)));
    }
    match declared(bytes).as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => Ok(String::from_utf8_lossy(bytes)),
        Some("iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" | "windows-1252" | "cp1252") => {
            Ok(Cow::Owned(bytes.iter().copied().map(windows_1252).collect()))
        }
        Some(other) => Err(NotFeed::Encoding(other.to_owned())),
    }
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS[usize::from(byte) - 0x80],
        _ => char::from(byte),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The name in `<?xml version="1.0" encoding="…"?>`, in lower case.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_BYTES)]);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let name = value[1..].split(quote).next()?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    is_name.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_encodings_are_read() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><t>\xe4\x80</t>";
        assert!(decoded(latin).unwrap().ends_with("<t>ä€</t>"));
        assert_eq!(decoded("\u{feff}ä".as_bytes()).unwrap(), "ä");
        assert_eq!(decoded(b"\xff\xfe<\x00\xe4\x00").unwrap(), "<ä");
        assert_eq!(decoded(b"\xfe\xff\x00<\x00\xe4\x00").unwrap(), "<ä", "half a character at the end");
        assert_eq!(decoded(b"a\xffb").unwrap(), "a\u{fffd}b");
        assert_eq!(decoded(b"<?xml encoding=\"KOI8-R\"?>"), Err(NotFeed::Encoding("koi8-r".into())));
        assert!(decoded(b"<?xml encoding=\"\"?>").is_ok());
    }
}
