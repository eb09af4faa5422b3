//! Writes a checkpoint of an older form in the newest, with a digest of itself; every number stays.
//!
//! ```sh
//! cargo run -p ddpm-unet --example rewrite_checkpoint -- out/ch14_train_images/model.safetensors
//! ```

use ddpm_unet::train::checkpoint::{Checkpoint, FORMAT};
use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let path: PathBuf = env::args_os().nth(1).ok_or("name a checkpoint after `--`")?.into();
    let checkpoint = Checkpoint::load(&path)?;
    checkpoint.save(&path)?;
    if Checkpoint::load(&path)? != checkpoint {
        return Err("the file reads otherwise than before: take a copy of the old one".into());
    }
    let bytes = path.metadata()?.len();
    println!("{}: version {FORMAT} of the format, {bytes} bytes", path.display());
    Ok(())
}
