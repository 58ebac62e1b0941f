//! What every benchmark hands over, and the page that is made of it.
//!
//! A part measures in [`Rounds`], puts its figures into a [`Section`] and gives that to
//! [`Output`]; `concert bench report` makes one page of the sections that were written to files.

mod environment;
mod model;
mod output;
mod page;
mod plot;
mod rounds;
mod terminal;

pub use environment::Environment;
pub use model::{
    Band, Cell, Column, Kind, Plot, Sample, Scale, Section, Series, Table, Target, figure, median,
};
pub use output::Output;
pub use page::{Args, run};
pub use rounds::{Rounds, progress};
