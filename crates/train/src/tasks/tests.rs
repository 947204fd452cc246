use super::*;

fn task(name: &str, length: usize) -> Task {
    let config = TaskConfig { name: name.into(), length, ..TaskConfig::default() };
    Task::of(&config, 7).unwrap().unwrap()
}

fn asked(row: &Example) -> Vec<(usize, i64)> {
    row.labels
        .iter()
        .enumerate()
        .filter(|(_, label)| **label != IGNORE)
        .map(|(at, label)| (at, *label))
        .collect()
}

#[test]
fn copying_asks_for_the_items_in_order() {
    let task = task("selective_copying", 40);
    for number in 0..50 {
        let row = task.example(Side::Training, number);
        let items: Vec<i64> = row.ids[..40].iter().filter(|id| **id > 1).map(|id| i64::from(*id)).collect();
        assert_eq!(items.len(), 16);
        assert_eq!(asked(&row).iter().map(|(_, label)| *label).collect::<Vec<_>>(), items);
        // The place that is asked is the one before the label, and holds a marker.
        assert!(asked(&row).iter().all(|(at, _)| row.ids[at - 1] == 1));
    }
}

#[test]
fn induction_asks_for_what_followed() {
    for length in [3, 16, 64] {
        let task = task("induction", length);
        for number in 0..50 {
            let row = task.example(Side::HeldOut, number);
            let special: Vec<usize> = (0..length).filter(|at| row.ids[*at] == 15).collect();
            assert_eq!((special.len(), special[1]), (2, length - 1));
            assert_eq!(asked(&row), [(length, i64::from(row.ids[special[0] + 1]))]);
        }
    }
}

#[test]
fn recall_asks_for_each_key_once() {
    let task = task("mqar", 64);
    for number in 0..50 {
        let row = task.example(Side::Training, number);
        let pairs: Vec<(u32, u32)> = row.ids[..16].chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let asked = asked(&row);
        assert_eq!(asked.len(), 8);
        for (at, label) in asked {
            let key = row.ids[at - 1];
            assert!(pairs.iter().any(|(k, v)| *k == key && i64::from(*v) == label));
        }
        // No answer stands in the row behind its question.
        assert!(row.ids[16..].iter().all(|id| *id == 0 || pairs.iter().any(|(key, _)| key == id)));
    }
}

#[test]
fn parity_is_that_of_the_ones_so_far() {
    let task = task("parity", 20);
    let row = task.example(Side::Training, 3);
    for (at, label) in asked(&row) {
        assert_eq!(label, i64::from(row.ids[..at].iter().sum::<u32>() % 2));
    }
    assert_eq!(asked(&task.example(Side::HeldOut, 3)).len(), 1);
}

/// The value of an expression by a stack, from its tokens.
fn value(ids: &[u32]) -> u32 {
    let mut stack: Vec<(u32, Vec<u32>)> = vec![];
    for id in ids {
        match id {
            1..=10 => stack.last_mut().unwrap().1.push(id - 1),
            11..=14 => stack.push((*id, vec![])),
            _ => {
                let (operator, values) = stack.pop().unwrap();
                let mut sorted = values.clone();
                sorted.sort_unstable();
                let middle = sorted.len() / 2;
                let made = match operator {
                    11 => values.iter().copied().max().unwrap(),
                    12 => values.iter().copied().min().unwrap(),
                    13 if sorted.len() % 2 == 1 => sorted[middle],
                    13 => (sorted[middle - 1] + sorted[middle]) / 2,
                    _ => values.iter().sum::<u32>() % 10,
                };
                match stack.last_mut() {
                    Some(outer) => outer.1.push(made),
                    None => return made,
                }
            }
        }
    }
    panic!("no end")
}

#[test]
fn expressions_have_the_value_that_is_asked() {
    let task = task("listops", 128);
    let mut lengths = vec![];
    let mut classes = [0; 10];
    for number in 0..400 {
        let row = task.example(Side::Training, number);
        assert_eq!(row.ids.len(), 129);
        let ids: Vec<u32> = row.ids[..128].iter().copied().filter(|id| *id != 0).collect();
        let [(128, label)] = asked(&row)[..] else { panic!("{row:?}") };
        assert_eq!(label, i64::from(1 + value(&ids)));
        lengths.push(ids.len());
        classes[label as usize - 1] += 1;
    }
    let mean = lengths.iter().sum::<usize>() / lengths.len();
    assert!(mean > 20, "expressions of {mean} tokens on average are too easy");
    assert!(classes.iter().all(|count| *count < 120), "one answer is right too often: {classes:?}");
}

#[test]
fn digits_come_from_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let rows: String = (0..50).map(|k| format!("{},{},3,{}\n", k % 17, (k * 7) % 17, k % 10)).collect();
    std::fs::write(&path, rows).unwrap();
    let config =
        TaskConfig { name: "digits".into(), path: path.display().to_string(), ..TaskConfig::default() };
    let task = Task::of(&config, 1).unwrap().unwrap();
    assert_eq!((task.examples(Side::Training), task.examples(Side::HeldOut)), (Some(40), Some(10)));
    assert_eq!((task.vocabulary(), task.row()), (17 + 1 + 10, 5));
    // A pass holds every example once.
    let pass = |from: u64| {
        let mut rows: Vec<_> =
            (from..from + 40).map(|k| task.example(Side::Training, k).ids[..2].to_vec()).collect();
        rows.sort();
        rows
    };
    assert_eq!(pass(0), pass(40));
    std::fs::write(&path, "1,2,3\n1,x,3\n").unwrap();
    assert!(Task::of(&config, 1).unwrap_err().to_string().contains("line 2"));
    std::fs::write(&path, "").unwrap();
    assert!(Task::of(&config, 1).unwrap_err().to_string().contains("no image"));
}

#[test]
fn wrong_names_and_lengths_are_refused() {
    let config = |name: &str, length| TaskConfig { name: name.into(), length, ..TaskConfig::default() };
    let error = |config| Task::of(&config, 0).unwrap_err().to_string();
    assert!(error(config("copying", 0)).contains("selective_copying"));
    assert!(error(config("mqar", 10)).contains("task.length"));
    assert!(Task::of(&config("", 0), 0).unwrap().is_none());
}
