//! Things in the order of their birth, found by id.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A thing with an id.
pub trait Keyed {
    /// The id, which never changes.
    fn key(&self) -> &str;
}

/// Things in the order of their birth, found by id. In JSON it is a plain array.
#[derive(Debug, Clone)]
pub struct Shelf<T> {
    items: Vec<T>,
    index: HashMap<String, usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf { items: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Keyed> Shelf<T> {
    /// Puts `item` at the end; one with the same id is replaced in its place.
    pub fn push(&mut self, item: T) {
        match self.index.get(item.key()) {
            Some(&at) => self.items[at] = item,
            None => {
                self.index.insert(item.key().to_owned(), self.items.len());
                self.items.push(item);
            }
        }
    }

    /// The thing with that id.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.index.get(id).map(|&at| &self.items[at])
    }

    /// The thing with that id, to change it.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.index.get(id).map(|&at| &mut self.items[at])
    }

    /// All, oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T: Keyed> FromIterator<T> for Shelf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut shelf = Shelf::default();
        items.into_iter().for_each(|item| shelf.push(item));
        shelf
    }
}

impl<T: Serialize> Serialize for Shelf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(serializer)
    }
}

impl<'de, T: Keyed + Deserialize<'de>> Deserialize<'de> for Shelf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<T>::deserialize(deserializer).map(Shelf::from_iter)
    }
}
