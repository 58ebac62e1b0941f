//! Hard input, over the seeds of the fuzz targets and random changes of them. What a fuzzer finds
//! becomes a seed (`fuzz/README.md`), and is tried here from then on. Beside it: requests that no
//! HTTP library would send (`shapes.rs`), and what refusals of every kind give away (`answers.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

mod answers;
mod shapes;

use std::collections::BTreeSet;
use std::path::Path;

use concert_tests::hard::{Bodies, KINDS};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};

const BODIES: &str = "bodies";

fn fuzz(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(path)
}

fn seeds(kind: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(fuzz("seeds").join(kind)).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{kind} has no seeds");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// A seed with some bytes changed, cut off, or joined to another; or anything.
fn changed(seeds: &[Vec<u8>]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let one = || select(seeds.to_vec());
    let edits = proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let edited = (one(), edits).prop_map(|(mut seed, edits)| {
        for (at, byte) in edits {
            let at = at.index(seed.len() + 1);
            match seed.get_mut(at) {
                Some(place) => *place = byte,
                None => seed.push(byte),
            }
        }
        seed
    });
    let joined = (one(), any::<Index>(), one(), any::<Index>()).prop_map(|(a, i, b, j)| {
        let (head, tail) = (i.index(a.len() + 1), j.index(b.len() + 1));
        [&a[..head], &b[tail..]].concat()
    });
    let anything = proptest::collection::vec(any::<u8>(), 0..100);
    prop_oneof![4 => edited, 3 => joined, 1 => anything]
}

/// The same cases in every run, unless `PROPTEST_RNG_SEED` says otherwise.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed => fixed,
    };
    TestRunner::new(Config { rng_seed: seed, ..config })
}

#[test]
fn every_kind_of_input_has_a_target_and_seeds() {
    let names = |folder: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(fuzz(folder)).unwrap();
        let stem =
            |path: std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        files.map(|file| stem(file.unwrap().path())).collect()
    };
    let kinds = KINDS.iter().map(|(name, _)| *name).chain([BODIES]);
    let kinds: BTreeSet<_> = kinds.map(str::to_owned).collect();
    assert_eq!(names("fuzz_targets"), kinds);
    assert_eq!(names("seeds"), kinds);
    let manifest = std::fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for kind in kinds {
        assert!(manifest.contains(&format!("name = \"{kind}\"")), "{kind}");
    }
}

#[test]
fn texts_and_bytes_of_strangers_are_taken_or_refused() {
    for (kind, target) in KINDS {
        let seeds = seeds(kind);
        seeds.iter().for_each(|seed| target(seed));
        let tried = runner(1_000).run(&changed(&seeds), |data| {
            target(&data);
            Ok(())
        });
        tried.unwrap_or_else(|failure| panic!("{kind}: {failure}"));
    }
}

#[test]
fn bodies_of_strangers_are_taken_or_refused_on_every_route() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bodies = runtime.block_on(Bodies::start());
    let seeds = seeds(BODIES);
    for seed in &seeds {
        for route in 0..bodies.routes() {
            let mut data = seed.clone();
            data[0] = u8::try_from(route).unwrap();
            runtime.block_on(bodies.send(&data));
        }
    }
    let tried = runner(300).run(&changed(&seeds), |data| {
        runtime.block_on(bodies.send(&data));
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
}
