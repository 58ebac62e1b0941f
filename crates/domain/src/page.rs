//! Keyset pages: bounded, and stable while rows come and go.

/// How many items a page may have: 1 to 100, 20 unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// The largest page.
    pub const MAX: u32 = 100;

    /// A limit, if it is in range.
    pub fn new(limit: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&limit).then_some(Self(limit))
    }

    /// The number of items.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// Where a page ended: the sort key and the id of its last item. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The sort key of the last item; its meaning is the list's own.
    pub key: i64,
    /// The id of the last item, which orders items of equal key.
    pub id: i64,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// How many items at the most.
    pub limit: Limit,
    /// Continue after this item; from the start if absent.
    pub after: Option<Cursor>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, at most as many as asked for.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page from one row more than was asked for, which tells whether there is a next.
    pub fn from_rows(mut rows: Vec<T>, limit: Limit, cursor: impl Fn(&T) -> Cursor) -> Self {
        let limit = limit.get() as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(cursor) } else { None };
        Self { items: rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_too_many_makes_a_next_page() {
        let cursor = |n: &i64| Cursor { key: *n, id: *n };
        let limit = Limit::new(2).unwrap();
        let page = Page::from_rows(vec![1, 2, 3], limit, cursor);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(Cursor { key: 2, id: 2 })));
        assert_eq!(Page::from_rows(vec![1, 2], limit, cursor).next, None);
        assert_eq!(Limit::new(0), None);
        assert_eq!(Limit::new(101), None);
    }
}
