//! Paths of tiles, and which tiles a tree has.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics says where"
)]

use boboyka_tlog::tile::{self, Entries, PathError, Place, Tile};

#[test]
fn paths_are_those_of_the_specification() {
    let tile = |level, index, width| {
        Tile {
            level,
            index,
            width,
        }
        .to_string()
    };
    assert_eq!(tile(0, 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(tile(1, 0, 1), "tile/1/000.p/1");
    assert_eq!(tile(2, 999, 255), "tile/2/999.p/255");
    assert_eq!(tile(2, 1_000, 256), "tile/2/x001/000");
    assert_eq!(
        Entries {
            index: 273,
            width: 112
        }
        .to_string(),
        "tile/entries/273.p/112"
    );
    for path in ["tile/0/x001/x234/067", "tile/0/273.p/112", "tile/7/000"] {
        let Place::Tile(tile) = Place::from_path(path).unwrap() else {
            panic!("{path}")
        };
        assert_eq!(tile.to_string(), path);
    }
    let entries = Place::Entries(Entries {
        index: 1_000,
        width: 256,
    });
    assert_eq!(Place::from_path("tile/entries/x001/000"), Ok(entries));
}

#[test]
fn what_names_no_tile_is_refused_with_the_part_that_is_wrong() {
    let error = |path: &str| Place::from_path(path).unwrap_err();
    assert_eq!(error("tile/0"), PathError::Form);
    assert_eq!(error("checkpoint"), PathError::Form);
    for level in ["8", "00", "-1", "x", ""] {
        assert_eq!(
            error(&format!("tile/{level}/000")),
            PathError::Level(level.into())
        );
    }
    for index in [
        "0",
        "1000",
        "x000/001",
        "001/001",
        "x001/x001",
        "xx1/000",
        "+01",
        "",
        "000/",
    ] {
        assert_eq!(
            error(&format!("tile/0/{index}")),
            PathError::Index(index.into())
        );
    }
    for width in ["0", "256", "01", "1/", ""] {
        assert_eq!(
            error(&format!("tile/0/000.p/{width}")),
            PathError::Width(width.into())
        );
    }
}

#[test]
fn a_tree_has_the_tiles_that_its_size_fills() {
    let count = |size, level, full: bool| {
        let tiles = tile::tiles(size).filter(|tile| tile.level == level && tile.is_full() == full);
        tiles.map(|tile| tile.width).collect::<Vec<_>>()
    };
    assert_eq!(
        (count(256, 0, true), count(256, 1, false)),
        (vec![256], vec![1])
    );
    assert_eq!(tile::tiles(255).count(), 1);
    assert_eq!(tile::tiles(0).count(), 0);
    assert_eq!(
        (count(70_000, 0, true).len(), count(70_000, 0, false)),
        (273, vec![112])
    );
    assert_eq!(
        (count(70_000, 1, true).len(), count(70_000, 1, false)),
        (1, vec![17])
    );
    assert_eq!(
        (count(70_000, 2, true).len(), count(70_000, 2, false)),
        (0, vec![1])
    );
    assert_eq!(
        tile::entries(513)
            .map(|entries| entries.width)
            .collect::<Vec<_>>(),
        [256, 256, 1]
    );
    assert_eq!(Tile::at(1, 0, 255), None);
}
