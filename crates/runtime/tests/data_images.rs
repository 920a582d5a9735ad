//! Folders of images: classes by folder, pixels as they are, sizes, and files that are no images.

use std::fs;
use std::path::{Path, PathBuf};

use arenagrad::data::{Batches, DataError, ImageFolder, Source};
use arenagrad::{Error, Tensor};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// An empty folder of that name.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("data_images").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes an image of two rows and three columns, each pixel another one.
fn write(path: &Path, shade: u8, format: ImageFormat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| Rgb([shade, (10 * x) as u8, (100 * y) as u8]);
    let image = RgbImage::from_fn(3, 2, pixel);
    DynamicImage::from(image).save_with_format(path, format).unwrap();
}

fn floats(tensor: Option<&Tensor>) -> Vec<f32> {
    tensor.unwrap().as_slice::<f32>().unwrap().to_vec()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> DataError {
    match result {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn classes_are_folders() {
    let root = folder("classes");
    write(&root.join("dogs/b.png"), 255, ImageFormat::Png);
    write(&root.join("dogs/a.PNG"), 51, ImageFormat::Png);
    write(&root.join("cats/deeper/1.png"), 102, ImageFormat::Png);
    write(&root.join(".hidden/1.png"), 0, ImageFormat::Png);
    write(&root.join("cats/.1.png"), 0, ImageFormat::Png);
    fs::write(root.join("cats/notes.txt"), "none").unwrap();
    fs::write(root.join("1.png"), "of no class").unwrap();
    let images = ImageFolder::new(&root).unwrap();
    assert_eq!((images.len(), images.classes().names()), (3, &["cats".to_owned(), "dogs".to_owned()][..]));
    let files: Vec<_> = images.files().map(|(path, class)| (path.file_name().unwrap().to_owned(), class)).collect();
    assert_eq!(files, [("1.png".into(), 0), ("a.PNG".into(), 1), ("b.png".into(), 1)]);
    let sample = images.sample(1).unwrap();
    let x = sample.get("x").unwrap();
    assert_eq!((x.shape().dims(), sample.get("labels").unwrap().item().unwrap()), (&[3, 2, 3][..], 1.0));
    // Channel by channel, row by row, in parts of 255.
    let expected = [[51; 6], [0, 10, 20, 0, 10, 20], [0, 0, 0, 100, 100, 100]].concat();
    let expected: Vec<f32> = expected.iter().map(|&byte| byte as f32 / 255.0).collect();
    assert_eq!(floats(Some(x)), expected);
    let table = images.load().unwrap();
    assert_eq!(table.data.column("x").unwrap().shape().dims(), [3, 3, 2, 3]);
    assert_eq!(table.data.column("labels").unwrap().as_slice::<i32>().unwrap(), [0, 1, 1]);
    assert_eq!(table.categories("labels"), Some(images.classes()));
    let batch = Batches::new(images, 2).prefetch(1).epoch(0).nth(1).unwrap().unwrap();
    assert_eq!(floats(batch.get("x"))[..6], [1.0; 6]);
}

#[test]
fn sizes_and_channels() {
    let root = folder("sizes");
    write(&root.join("a/1.png"), 200, ImageFormat::Png);
    write(&root.join("a/2.jpg"), 200, ImageFormat::Jpeg);
    let grey = GrayImage::from_pixel(5, 4, image::Luma([51]));
    DynamicImage::from(grey).save(root.join("a/3.png")).unwrap();
    let clear = RgbaImage::from_pixel(3, 2, Rgba([255, 0, 51, 0]));
    DynamicImage::from(clear).save(root.join("a/4.png")).unwrap();
    let images = ImageFolder::new(&root).unwrap();
    let DataError::SampleShape { index: 2, first: 0, .. } = refused(images.load()) else { panic!() };
    // What a JPEG file holds is near what was put into it.
    let jpeg = floats(images.sample(1).unwrap().get("x"));
    assert!(jpeg.iter().zip(floats(images.sample(0).unwrap().get("x"))).all(|(a, b)| (a - b).abs() < 0.2));
    assert_eq!(floats(images.sample(3).unwrap().get("x")), [[1.0; 6], [0.0; 6], [0.2; 6]].concat());
    let resized = images.clone().resized(4, 6);
    let table = resized.load().unwrap();
    let x = table.data.column("x").unwrap();
    assert_eq!(x.shape().dims(), [4, 3, 4, 6]);
    let pixels = x.as_slice::<f32>().unwrap();
    assert!(pixels[2 * 72..3 * 72].iter().all(|pixel| (pixel - 0.2).abs() < 1e-6), "one shade stays one");
    let grey = images.clone().resized(4, 6).greyscale().load().unwrap();
    assert_eq!(grey.data.column("x").unwrap().shape().dims(), [4, 1, 4, 6]);
    assert!(matches!(refused(images.resized(0, 3).sample(0)), DataError::Image { .. }));
}

#[test]
fn files_that_are_no_images() {
    let root = folder("wrong");
    assert!(matches!(ImageFolder::new(root.join("none")), Err(Error::File { .. })));
    assert!(matches!(refused(ImageFolder::new(&root)), DataError::Image { .. }));
    write(&root.join("a/1.png"), 1, ImageFormat::Png);
    let whole = fs::read(root.join("a/1.png")).unwrap();
    let path = root.join("a/2.png");
    for length in [0, 1, 20, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        let images = ImageFolder::new(&root).unwrap();
        let DataError::Image { path: named, .. } = refused(images.load()) else { panic!() };
        assert_eq!(named, path);
    }
    // A header that tells of gigabytes: the size stands behind the name of the first chunk.
    let mut hostile = whole.clone();
    hostile[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    fs::write(&path, hostile).unwrap();
    assert!(matches!(refused(ImageFolder::new(&root).unwrap().load()), DataError::Image { .. }));
    // What a file is says its content, not its name.
    write(&path, 5, ImageFormat::Jpeg);
    assert_eq!(ImageFolder::new(&root).unwrap().load().unwrap().data.len(), 2);
    assert!(matches!(refused(ImageFolder::new(&root).unwrap().sample(2)), DataError::SampleIndex { .. }));
}

#[cfg(unix)]
#[test]
fn links_to_folders_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let (root, elsewhere) = (folder("links"), folder("linked"));
    write(&root.join("a/deep/1.png"), 1, ImageFormat::Png);
    write(&root.join("b/2.png"), 2, ImageFormat::Png);
    write(&elsewhere.join("3.png"), 3, ImageFormat::Png);
    symlink(&elsewhere, root.join("a/there")).unwrap();
    symlink(&elsewhere, root.join("c")).unwrap();
    // To itself, to a folder above, and to the whole.
    symlink(root.join("a/deep"), root.join("a/deep/again")).unwrap();
    symlink(root.join("a"), root.join("a/deep/up")).unwrap();
    symlink(&root, root.join("b/whole")).unwrap();
    symlink(&elsewhere, elsewhere.join("round")).unwrap();
    // A second way to the same.
    symlink(root.join("a/deep"), root.join("a/zzz")).unwrap();
    let images = ImageFolder::new(&root).unwrap();
    let files: Vec<_> = images.files().map(|(path, class)| (path.strip_prefix(&root).unwrap(), class)).collect();
    let expected = [("a/deep/1.png", 0), ("a/there/3.png", 0), ("b/2.png", 1), ("c/3.png", 2)];
    assert_eq!(files, expected.map(|(path, class)| (Path::new(path), class)));
}

#[test]
fn grey_is_what_pil_makes_of_colours() {
    let root = folder("grey");
    let save = |name: &str, image: DynamicImage| {
        fs::create_dir_all(root.join("a")).unwrap();
        image.save_with_format(root.join("a").join(name), ImageFormat::Png).unwrap();
    };
    // By `PIL.Image.convert("L")`.
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3], [10, 200, 30], [1, 2, 3]];
    let bytes = [76, 150, 29, 255, 124, 2].map(|byte: u8| f32::from(byte) / 255.0);
    save("1.png", RgbImage::from_fn(6, 1, |x, _| Rgb(colours[x as usize])).into());
    save(
        "2.png",
        RgbaImage::from_fn(6, 1, |x, _| {
            let [r, g, b] = colours[x as usize];
            Rgba([r, g, b, 9])
        })
        .into(),
    );
    save("3.png", GrayImage::from_fn(6, 1, |x, _| image::Luma([x as u8])).into());
    let wide =
        |x: u32, _| Rgb([[65535u16, 0, 0], [0, 65535, 0], [0, 0, 65535], [65535; 3], [1000, 2, 3], [0; 3]][x as usize]);
    save("4.png", image::ImageBuffer::from_fn(6, 1, wide).into());
    save("5.png", image::ImageBuffer::from_fn(6, 1, |x, _| image::Luma([x as u16])).into());
    let images = ImageFolder::new(&root).unwrap().greyscale();
    let grey = |number: usize| floats(images.sample(number).unwrap().get("x"));
    assert_eq!((grey(0), grey(1)), (bytes.to_vec(), bytes.to_vec()));
    assert_eq!(grey(2), [0, 1, 2, 3, 4, 5].map(|byte: u8| f32::from(byte) / 255.0));
    let words = [19595.0, 38469.0, 7471.0, 65535.0, 301.0, 0.0].map(|word: f32| word / 65535.0);
    assert_eq!(grey(3), words);
    assert_eq!(grey(4), [0, 1, 2, 3, 4, 5].map(|word: u8| f32::from(word) / 65535.0));
}
