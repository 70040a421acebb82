//! `load`: puts load on Socket.IO servers and compares what it costs them.

use std::process::ExitCode;

use anyhow::Result;
use benches::cli::{Command, HELP};
use benches::{child, run, scenario};

fn main() -> Result<ExitCode> {
    match Command::read()? {
        Command::Run(options) => {
            let clean = run::run(&options)?;
            return Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Serve(options) => child::serve(options)?,
        Command::List => println!("{}", scenario::names().join("\n")),
        Command::Help => println!("{HELP}"),
    }
    Ok(ExitCode::SUCCESS)
}
