//! [`IntoRooms`]: one room, or several.

use std::borrow::Cow;

use sio_proto::hub::Room;
use sio_proto::{SocketId, Str};

/// One room, or a list of them: `"news"`, `["news", "sports"]`, a `Vec<String>`, a [`SocketId`] (the room of that socket alone).
///
/// An empty list means no room: [`to`](crate::Operator::to) with it changes nothing (B123).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a room or a list of rooms",
    note = "a room is a string, or a `SocketId`; a list of rooms is an array, a slice or a `Vec` of them"
)]
pub trait IntoRooms {
    /// Calls `each` with every room.
    #[doc(hidden)]
    fn each_room(self, each: impl FnMut(Room));
}

macro_rules! one_room {
    ($($type:ty: $room:ident => $value:expr;)*) => {
        $(
            impl IntoRooms for $type {
                fn each_room(self, mut each: impl FnMut(Room)) {
                    let $room = self;
                    each($value);
                }
            }
        )*
    };
}

one_room! {
    &str: room => room.into();
    &&str: room => (*room).into();
    String: room => room.into();
    &String: room => room.as_str().into();
    Str: room => room;
    &Str: room => room.clone();
    Box<str>: room => (*room).into();
    Cow<'_, str>: room => (*room).into();
    SocketId: room => room.as_str().into();
    &SocketId: room => room.as_str().into();
}

impl<T: IntoRooms> IntoRooms for Vec<T> {
    fn each_room(self, mut each: impl FnMut(Room)) {
        for room in self {
            room.each_room(&mut each);
        }
    }
}

impl<T: IntoRooms, const N: usize> IntoRooms for [T; N] {
    fn each_room(self, mut each: impl FnMut(Room)) {
        for room in self {
            room.each_room(&mut each);
        }
    }
}

impl<'a, T> IntoRooms for &'a [T]
where
    &'a T: IntoRooms,
{
    fn each_room(self, mut each: impl FnMut(Room)) {
        for room in self {
            room.each_room(&mut each);
        }
    }
}

impl<'a, T> IntoRooms for &'a Vec<T>
where
    &'a T: IntoRooms,
{
    fn each_room(self, each: impl FnMut(Room)) {
        self.as_slice().each_room(each);
    }
}

impl<'a, T, const N: usize> IntoRooms for &'a [T; N]
where
    &'a T: IntoRooms,
{
    fn each_room(self, each: impl FnMut(Room)) {
        self.as_slice().each_room(each);
    }
}

/// The rooms as a list.
pub(crate) fn rooms(rooms: impl IntoRooms) -> Vec<Room> {
    let mut list = Vec::new();
    rooms.each_room(|room| list.push(room));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many() {
        let one = [Room::from("a")];
        assert_eq!(rooms("a"), one);
        assert_eq!(rooms(String::from("a")), one);
        assert_eq!(rooms(&one[0]), one);
        assert_eq!(rooms(Room::from("a")), one);
        assert_eq!(rooms(Cow::Borrowed("a")), one);
        let two = [Room::from("a"), Room::from("b")];
        assert_eq!(rooms(["a", "b"]), two);
        assert_eq!(rooms(&two), two);
        assert_eq!(rooms(vec!["a".to_owned(), "b".to_owned()]), two);
        assert_eq!(rooms(two.to_vec()), two);
        assert_eq!(rooms(&two[..]), two);
        assert!(rooms(Vec::<String>::new()).is_empty());
    }
}
