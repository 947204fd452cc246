//! The bytes that docs/bundle.md shows are those that the code writes.

use axes::{DType, TritLayout};
use barewire::{Bundle, BundleWriter, Spec, trits};

/// The bytes of a dump in the form of `hexdump -C`: an offset, sixteen bytes, text; `*` for rows of zeros.
fn undump(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    for line in text.lines() {
        let Some((offset, rest)) = line.split_once("  ") else {
            if line != "*" {
                // The last line is the length alone.
                assert_eq!(usize::from_str_radix(line, 16).unwrap(), bytes.len());
            }
            continue;
        };
        bytes.resize(usize::from_str_radix(offset, 16).unwrap(), 0);
        let hex = rest.split('|').next().unwrap();
        bytes.extend(hex.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    }
    bytes
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut star = false;
    for (at, row) in bytes.chunks(16).enumerate() {
        let repeated = at > 0 && row == [0; 16] && bytes[16 * at - 16..16 * at] == [0; 16];
        if repeated {
            text += if star { "" } else { "*\n" };
            star = true;
            continue;
        }
        star = false;
        let pairs: Vec<String> = row.iter().map(|b| format!("{b:02x}")).collect();
        let (left, right) = pairs.split_at(pairs.len().min(8));
        let shown: String =
            row.iter().map(|b| if (0x20..0x7F).contains(b) { char::from(*b) } else { '.' }).collect();
        text += &format!("{:08x}  {:<23}  {:<23}  |{shown}|\n", 16 * at, left.join(" "), right.join(" "));
    }
    text + &format!("{:08x}\n", bytes.len())
}

fn example() -> Vec<u8> {
    let specs = [
        Spec::bytes("config.json", 2),
        Spec::tensor("norm", DType::F32, &[3]),
        Spec::trits("w", TritLayout::Compute, 2, 6),
    ];
    let mut writer = BundleWriter::new(Vec::new(), &specs).unwrap();
    writer.section("config.json", b"{}").unwrap();
    let norm: Vec<u8> = [1.0_f32, 0.5, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.section("norm", &norm).unwrap();
    let w = trits::encode(TritLayout::Compute, 2, 6, &[1, 0, -1, 0, 0, 1, -1, -1, 0, 1, 0, 0]).unwrap();
    writer.trits("w", 2.0, &w).unwrap();
    writer.finish().unwrap()
}

#[test]
fn the_documented_bytes_are_the_written_ones() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bundle.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```hexdump\n").nth(1).and_then(|rest| rest.split("```").next());
    let written = example();
    let Some(block) = block.filter(|block| undump(block) == written) else {
        panic!("docs/bundle.md should show:\n{}", dump(&written));
    };
    assert_eq!(block, dump(&written));
    let bundle = Bundle::from_bytes(undump(block)).unwrap();
    assert_eq!(bundle.tensor("norm").unwrap().f32s().unwrap(), [1.0, 0.5, -2.0]);
}
