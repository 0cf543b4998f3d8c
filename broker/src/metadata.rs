//! The metadata image as this broker sees it: an immutable value behind an atomic pointer.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use milena_cluster::metadata::image::MetadataImage;
use tokio::sync::watch;

/// The published image.
#[derive(Debug)]
pub struct Published {
    image: ArcSwap<MetadataImage>,
    offset: watch::Sender<i64>,
}

impl Published {
    /// Starts with an image.
    #[must_use]
    pub fn new(image: Arc<MetadataImage>) -> Self {
        let offset = watch::Sender::new(image.offset().0);
        Self { image: ArcSwap::new(image), offset }
    }

    /// The image now, for the length of a look.
    #[must_use]
    pub fn image(&self) -> Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    /// The image now, to be kept across waits.
    #[must_use]
    pub fn image_owned(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// Replaces the image by a later one.
    pub fn publish(&self, image: Arc<MetadataImage>) {
        let offset = image.offset().0;
        assert!(offset >= self.image().offset().0, "a metadata image never goes back");
        self.image.store(image);
        self.offset.send_replace(offset);
    }
}
