//! Digits as rows of 64 pixels: the 1,797 images of 8 × 8 pixels with 17 shades of the UCI repository's optical digits, as the
//! table `digits.csv.gz` of the PyPI wheel scikit-learn holds them, or any images in CSV or IDX files.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;

use crate::config::TaskConfig;
use crate::error::{Result, TrainError};
use crate::random::Rng;

use super::{Example, Generator, Side};

/// Where the table is looked for where none is named, below the folder of cached data.
const OWN: &str = "fidelity/digits.csv.gz";
/// Most bytes of a table once it is unpacked.
const MOST: u64 = 1 << 30;
/// Of five images the first is held out.
const SHARE: usize = 5;

#[derive(Debug)]
pub(super) struct Digits {
    /// Pixels, then the class, of each image.
    images: Vec<(Vec<u32>, u32)>,
    shades: u32,
    classes: u32,
    held_out: Vec<usize>,
    training: Vec<usize>,
}

impl Digits {
    pub(super) fn load(config: &TaskConfig) -> Result<Self> {
        let path = match config.path.as_str() {
            "" => found().ok_or(TrainError::Missing {
                what: "a table of digits",
                path: PathBuf::from("digits.csv.gz"),
                remedy: "`cargo xtask digits` fetches one; or name one in `task.path`: sklearn/datasets/data/digits.csv.gz of the wheel that `pip download \
                         --no-deps scikit-learn` fetches, or any CSV (pixels, then the class) or IDX file of images",
            })?,
            given => PathBuf::from(given),
        };
        let bytes = read(&path)?;
        let problem = |problem: String| TrainError::Config {
            place: format!("task.path = \"{}\"", path.display()),
            problem: format!("{problem}; expected rows of numbers, the class last, or an IDX file of images"),
        };
        let images = match bytes.get(..4) {
            Some([0, 0, 8, 3]) => idx(&path, &bytes)?,
            _ => csv(&bytes).map_err(problem)?,
        };
        Self::new(images).map_err(problem)
    }

    fn new(images: Vec<(Vec<u32>, u32)>) -> std::result::Result<Self, String> {
        let Some((first, _)) = images.first() else { return Err("no image was found".into()) };
        let pixels = first.len();
        if let Some(at) = images.iter().position(|(image, _)| image.len() != pixels) {
            return Err(format!("row {} has {} pixels, the first {pixels}", at + 1, images[at].0.len()));
        }
        let shades = images.iter().flat_map(|(image, _)| image).max().map_or(1, |most| most + 1);
        let classes = images.iter().map(|(_, class)| class + 1).max().unwrap_or(1);
        if shades > 256 || classes > 1 << 16 {
            return Err(format!("{shades} shades and {classes} classes are too many"));
        }
        // The same split in every run: images are in the order in which people were asked, so it is drawn.
        let mut order: Vec<usize> = (0..images.len()).collect();
        Rng::derived(0, "digits", 0).shuffle(&mut order);
        let held = images.len() / SHARE;
        let training = order.split_off(held);
        Ok(Self { images, shades, classes, held_out: order, training })
    }

    fn side(&self, side: Side) -> &[usize] {
        match side {
            Side::Training => &self.training,
            Side::HeldOut => &self.held_out,
        }
    }
}

/// A table that is there already: the command's own, or that of an installed scikit-learn.
fn found() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let own = cache.or_else(|| Some(home?.join(".cache"))).map(|folder| folder.join(OWN));
    let named = std::env::var_os("FIDELITY_DIGITS").map(PathBuf::from);
    named.into_iter().chain(own).find(|path| path.is_file())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| TrainError::read(path, source);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = vec![];
    if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(file).take(MOST).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        file.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(bytes)
}

fn csv(bytes: &[u8]) -> std::result::Result<Vec<(Vec<u32>, u32)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let mut images = vec![];
    for (line, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let numbers = row.split([',', ';', '\t']).map(|cell| {
            let number = cell.trim().parse::<f64>().ok().filter(|x| (0.0..65536.0).contains(x));
            number
                .map(|x| x as u32)
                .ok_or_else(|| format!("line {}: `{}` is no number", line + 1, cell.trim()))
        });
        let mut numbers = match numbers.collect::<std::result::Result<Vec<u32>, _>>() {
            Ok(numbers) => numbers,
            // A head of names.
            Err(_) if line == 0 => continue,
            Err(problem) => return Err(problem),
        };
        let class = numbers.pop().filter(|_| !numbers.is_empty());
        images.push((numbers, class.ok_or_else(|| format!("line {} has one number", line + 1))?));
    }
    Ok(images)
}

/// Images of an IDX file, with the labels of the file beside it (`…images…` and `…labels…`, `idx3` and `idx1`).
fn idx(path: &Path, bytes: &[u8]) -> Result<Vec<(Vec<u32>, u32)>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().replace("images", "labels");
    let labels = path.with_file_name(name.replace("idx3", "idx1"));
    let label_bytes = read(&labels)?;
    let number = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let (count, pixels) = (number(bytes, 4), number(bytes, 8).saturating_mul(number(bytes, 12)));
    let (images, classes) = (bytes.get(16..).unwrap_or(&[]), label_bytes.get(8..).unwrap_or(&[]));
    if pixels == 0 || count.checked_mul(pixels) != Some(images.len()) || classes.len() != count {
        return Err(TrainError::Config {
            place: format!("task.path = \"{}\"", path.display()),
            problem: format!(
                "{count} images of {pixels} pixels do not fit {} bytes and {} labels in `{}`",
                images.len(),
                classes.len(),
                labels.display()
            ),
        });
    }
    let image = |image: &[u8]| image.iter().map(|pixel| u32::from(*pixel)).collect();
    Ok(images.chunks(pixels).zip(classes).map(|(pixels, class)| (image(pixels), u32::from(*class))).collect())
}

impl Generator for Digits {
    /// Shades, the token that asks, classes.
    fn vocabulary(&self) -> usize {
        (self.shades + 1 + self.classes) as usize
    }

    fn examples(&self, side: Side) -> Option<usize> {
        Some(self.side(side).len())
    }

    fn draw(&self, side: Side, index: u64, _: &mut Rng) -> Example {
        let side = self.side(side);
        let (image, class) = &self.images[side[index as usize % side.len().max(1)]];
        let mut row = Example::default();
        image.iter().for_each(|shade| row.push(*shade));
        row.push(self.shades);
        row.ask(self.shades, i64::from(self.shades + 1 + class));
        row
    }

    fn with_length(&self, _: usize) -> Option<Arc<dyn Generator>> {
        None
    }

    fn chance(&self) -> f64 {
        1.0 / f64::from(self.classes)
    }
}
