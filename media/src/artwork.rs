//! Covers in the three sizes a player asks for.
//!
//! Takes any bytes, refuses what is too large before it is decoded (decompression bombs), and gives
//! back JPEG whose longest side is at most the size asked; small pictures are not blown up.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits, RgbImage};

use crate::MediaError;

/// Longest side of the pictures made, in pixels, smallest first.
pub const ART_SIZES_PX: [u32; 3] = [64, 300, 640];

/// Longest side accepted, in pixels: scanned covers stay below.
const SIDE_PX_MAX: u32 = 12_000;

/// Memory a decoder may take, in bytes: 12000 by 4000 pixels, four bytes each.
const DECODE_BYTES_MAX: u64 = 192 << 20;

/// JPEG quality, 1..=100. 85 is where artefacts stop to be seen on covers.
const QUALITY: u8 = 85;

/// A cover in one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtImage {
    /// The nominal size: one of [`ART_SIZES_PX`]. The picture's longest side is at most this.
    pub px: u32,
    /// The encoded picture.
    pub jpeg: Vec<u8>,
}

/// Decodes a picture (JPEG, PNG, WebP or GIF) and fits it into the three squares.
///
/// Equal input gives equal output bytes.
///
/// # Errors
/// [`MediaError::Picture`] when the bytes are no picture, or one beyond the limits.
pub fn artwork(bytes: &[u8]) -> Result<[ArtImage; 3], MediaError> {
    let picture = decode(bytes).map_err(|error| MediaError::Picture(error.to_string()))?;
    let flat = flatten(picture);
    let [small, middle, large] = ART_SIZES_PX.map(|px| fit(&flat, px));
    Ok([small?, middle?, large?])
}

fn decode(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_PX_MAX);
    limits.max_image_height = Some(SIDE_PX_MAX);
    limits.max_alloc = Some(DECODE_BYTES_MAX);
    reader.limits(limits);
    reader.decode()
}

/// JPEG has no transparency: lay it on white.
fn flatten(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        let over_white = |colour: u32| ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        image::Rgb([over_white(red), over_white(green), over_white(blue)])
    })
}

fn fit(picture: &RgbImage, px: u32) -> Result<ArtImage, MediaError> {
    let longest = picture.width().max(picture.height()).max(1);
    let scaled = |side: u32| {
        let exact = u64::from(side) * u64::from(px) / u64::from(longest);
        (exact as u32).max(1)
    };
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    let encoded = if longest <= px {
        encoder.encode_image(picture)
    } else {
        let (width, height) = (scaled(picture.width()), scaled(picture.height()));
        encoder.encode_image(&image::imageops::resize(picture, width, height, FilterType::CatmullRom))
    };
    encoded.map_err(|error| MediaError::Picture(error.to_string()))?;
    Ok(ArtImage { px, jpeg })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::RgbaImage::from_fn(width, height, |x, y| {
            image::Rgba([x as u8, y as u8, 7, if x < width / 2 { 0 } else { 255 }])
        });
        picture.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
        bytes
    }

    fn size_of(jpeg: &[u8]) -> (u32, u32) {
        let picture = image::load_from_memory(jpeg).unwrap();
        (picture.width(), picture.height())
    }

    #[test]
    fn a_wide_cover_is_fitted_into_each_square() {
        let images = artwork(&png(1000, 500)).unwrap();
        assert_eq!(images.each_ref().map(|i| i.px), ART_SIZES_PX);
        let sizes = images.each_ref().map(|i| size_of(&i.jpeg));
        assert_eq!(sizes, [(64, 32), (300, 150), (640, 320)]);
    }

    #[test]
    fn a_small_cover_keeps_its_size() {
        let images = artwork(&png(100, 3)).unwrap();
        assert_eq!(images.each_ref().map(|i| size_of(&i.jpeg)), [(64, 1), (100, 3), (100, 3)]);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        // A PNG header that promises 100000 by 100000 pixels.
        let mut bomb = png(8, 8);
        bomb[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        assert!(matches!(artwork(&bomb), Err(MediaError::Picture(_))));
    }

    #[test]
    fn nonsense_is_no_picture() {
        assert!(matches!(artwork(b""), Err(MediaError::Picture(_))));
        assert!(matches!(artwork(b"not a picture"), Err(MediaError::Picture(_))));
    }
}
