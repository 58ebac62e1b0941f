//! The benchmarks on real servers, with next to nothing to measure: that they run, hand over what
//! the page is made of, and leave nothing behind. No time is looked at.

use concert_tests::{FullSet, concert_in};
use serde_json::Value;

async fn bench(set: &FullSet, arguments: &[&str]) -> String {
    let arguments = [&["bench"], arguments].concat();
    let output = concert_in(set.folder(), &arguments, &set.variables()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The cells of the rows that begin with this word.
fn cells<'a>(section: &'a Value, first: &str) -> Vec<&'a Vec<Value>> {
    let tables = section["tables"].as_array().into_iter().flatten();
    let rows = tables.filter_map(|table| table["rows"].as_array()).flatten();
    rows.filter_map(Value::as_array).filter(|row| row[0] == first).collect()
}

#[tokio::test]
async fn indexes_and_locks_are_measured_and_make_a_page() {
    let set = FullSet::shared().await;
    let indexes = ["indexes", "--quick", "--rows", "1000", "--json", "--out", "docs/indexes.json"];
    let section: Value = serde_json::from_str(&bench(&set, &indexes).await).unwrap();
    assert_eq!(section["targets"].as_array().unwrap().len(), 6);
    // Its time with each of the choices; and a line of each plan.
    let lists = cells(&section, "our seat list, hall of 200");
    assert!(lists.len() > 4, "{section}");

    let locks = ["locks", "--quick", "--json", "--out", "docs/locks.json"];
    let section: Value = serde_json::from_str(&bench(&set, &locks).await).unwrap();
    for safe in ["ours: shield and conditional update", "unique key", "pessimistic row lock"] {
        let rows = cells(&section, safe);
        assert_eq!(rows.len(), 2, "{section}");
        for row in rows {
            assert_eq!((&row[2], &row[11]), (&Value::from("0"), &Value::from("0")), "{row:?}");
        }
    }
    assert_eq!(cells(&section, "ours: shield and conditional update")[0][1]["median"], 1.0);

    bench(&set, &["report", "--from", "docs", "--to", "docs/PAGE.md"]).await;
    for made in ["PAGE.md", "LOCKS.md", "indexes.svg", "locks.svg"] {
        assert!(set.folder().join("docs").join(made).is_file(), "{made}");
    }
}

#[tokio::test]
async fn what_needs_a_server_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["indexes", "locks"] {
        let output = concert_in(folder.path(), &["bench", part], &[]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("needs a MySQL server"));
    }
}
