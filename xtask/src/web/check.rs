//! What the page must do in a real browser, each a check with a name. All use the page as a visitor does, by its buttons, and read what
//! it shows and what it recorded.

mod cases;
mod growth;
mod native;
mod shaders;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::devtools::Browser;
use super::serve::Server;
use super::{CASES, CASES_WITH_VECTORS, chromium, screenshots, workspace};

/// What must be reached on the test images, and after at most so many epochs.
const ACCURACY: f64 = 0.97;
const EPOCHS: usize = 8;
/// The most that a loss of the first epoch may differ from the native CPU's.
const TOLERANCE: f64 = 1e-3;
/// The longest that the first paint may take, in milliseconds.
const FIRST_PAINT: f64 = 1000.0;
/// How long the page may take for what takes minutes in software, unless a check says its own.
const LONG: Duration = Duration::from_secs(900);
const SHORT: Duration = Duration::from_secs(60);

/// The pages of one server, and what opens them.
struct Visit<'a> {
    browser: Browser,
    server: &'a Server,
    /// What it serves.
    folder: &'a Path,
}

/// Something that the page must do.
pub(super) struct Check {
    name: &'static str,
    run: fn(&mut Visit<'_>) -> Result<(), String>,
    /// The folder of the operators' cases that it needs.
    pub(super) cases: Option<&'static str>,
}

impl Check {
    const fn new(name: &'static str, run: fn(&mut Visit<'_>) -> Result<(), String>) -> Check {
        Check { name, run, cases: None }
    }

    const fn of_cases(name: &'static str, cases: &'static str, run: fn(&mut Visit<'_>) -> Result<(), String>) -> Check {
        Check { name, run, cases: Some(cases) }
    }
}

const CHECKS: &[Check] = &[
    Check::new("paint", first_paint),
    Check::new("guide", guide),
    Check::new("gpu", |visit| trains(visit, "gpu")),
    Check::new("cpu", |visit| trains(visit, "cpu")),
    Check::new("drawing", drawing),
    Check::new("files", files),
    Check::new("refusal", refusal),
    Check::new("loss", loss_of_the_device),
    Check::new("loss-in-test", loss_within_a_test),
    Check::new("growth-cpu", |visit| growth::check(visit, "cpu")),
    Check::new("growth-gpu", |visit| growth::check(visit, "gpu")),
    Check::new("shaders", shaders::check),
    Check::of_cases("cases-cpu", CASES, |visit| cases::check(visit, CASES, cases::On::Cpu)),
    Check::of_cases("cases-cpu-simd", CASES_WITH_VECTORS, |visit| {
        cases::check(visit, CASES_WITH_VECTORS, cases::On::Cpu)
    }),
    Check::of_cases("cases-gpu", CASES, |visit| cases::check(visit, CASES, cases::On::Gpu)),
    Check::of_cases("cases-gpu-class", CASES, |visit| cases::check(visit, CASES, cases::On::GpuAsHardware)),
];

/// All checks, or the one of that name.
pub(super) fn of(only: Option<&str>) -> Result<Vec<&'static Check>, String> {
    let wanted: Vec<&Check> = CHECKS.iter().filter(|check| only.is_none_or(|only| check.name == only)).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        return Err(format!("there is no check of that name; there are {}", names.join(", ")));
    }
    Ok(wanted)
}

/// Runs checks, each in a browser of its own. The error says which failed.
pub(super) fn run(folder: &Path, wanted: &[&Check]) -> Result<(), String> {
    let program = chromium::find_or_install()?;
    println!("web: {}", chromium::version(&program));
    let server = Server::start(folder, 0)?;
    let mut failed = Vec::new();
    let (count, begun) = (wanted.len(), Instant::now());
    for Check { name, run, .. } in wanted {
        let start = Instant::now();
        let mut visit = Visit { browser: chromium::start(&program)?, server: &server, folder };
        let found = run(&mut visit).and_then(|()| match visit.browser.complaints()? {
            complaints if complaints.is_empty() => Ok(()),
            complaints => Err(format!("the console has errors: {}", complaints.join(" | "))),
        });
        let seconds = start.elapsed().as_secs_f64();
        match found {
            Ok(()) => println!("web: {name}: passed in {seconds:.1} s"),
            Err(reason) => {
                println!("web: {name}: FAILED after {seconds:.1} s: {reason}");
                failed.push(*name);
            }
        }
    }
    println!("web: {} of {count} passed in {:.1} min", count - failed.len(), begun.elapsed().as_secs_f64() / 60.0);
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

impl Visit<'_> {
    /// Opens the page of examples/web and waits until one may start.
    fn open(&mut self, query: &str) -> Result<(), String> {
        self.browser.go(&format!("http://localhost:{}/?{query}", self.server.port()))?;
        self.browser.wait_until("!document.getElementById('run').disabled", SHORT)
    }

    /// Opens it on a device, which must then be the one that is used.
    fn open_on(&mut self, device: &str, query: &str) -> Result<(), String> {
        self.open(&format!("device={device}&{query}"))?;
        let shown = self.text("device-name")?;
        println!("web:   {shown}");
        match self.browser.evaluate("page.kind")?.as_str() {
            Some(kind) if kind == device => Ok(()),
            _ => Err(format!("the page uses another device: {shown}; {}", self.text("status")?)),
        }
    }

    fn click(&mut self, id: &str) -> Result<(), String> {
        self.browser.evaluate(&format!("document.getElementById('{id}').click()")).map(drop)
    }

    fn text(&mut self, id: &str) -> Result<String, String> {
        let text = self.browser.evaluate(&format!("document.getElementById('{id}').textContent"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn number(&mut self, script: &str) -> Result<f64, String> {
        self.browser.evaluate(script)?.as_f64().ok_or_else(|| format!("{script} is no number"))
    }

    /// Has the program of docs/browser.md fit its line. Returns the device that it has used.
    fn fits_a_line(&mut self, device: &str) -> Result<String, String> {
        let told = self.browser.evaluate(&format!(
            "import('./arenagrad_web.js').then((program) => program.fit([0, 1, 2, 3], [-1, 1, 3, 5], 300, '{device}'))"
        ))?;
        println!("web:   the line of docs/browser.md on {device:?}: a loss of {told}");
        let told = told.as_str().unwrap_or_default();
        let (loss, used) = told.split_once(" on ").ok_or_else(|| format!("no loss and device are in {told:?}"))?;
        match loss.parse::<f64>() {
            Ok(loss) if loss < 1e-3 => Ok(used.to_owned()),
            Ok(_) | Err(_) => Err(format!("a line has a loss of {loss}")),
        }
    }

    /// Waits until a script says true while the page trains; that it no longer does ends the wait.
    fn train_until(&mut self, script: &str) -> Result<(), String> {
        self.train_until_within(script, LONG)
    }

    fn train_until_within(&mut self, script: &str, most: Duration) -> Result<(), String> {
        self.browser.wait_until(&format!("({script}) || !page.running"), most)?;
        let goes_on = self.browser.evaluate(&format!("page.running || ({script})"))?;
        if goes_on == Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("the page has stopped before {script}: {}", self.text("status")?))
        }
    }

    /// Clicks on pause, and waits until the loop has ended.
    fn pause(&mut self) -> Result<(), String> {
        self.click("run")?;
        self.browser.evaluate("page.loop.then(() => 0)").map(drop)
    }
}

/// The page is there before its program is.
fn first_paint(visit: &mut Visit<'_>) -> Result<(), String> {
    visit.open("device=cpu")?;
    let paint = visit.number("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")?;
    let ready = visit.number("performance.now()")?;
    println!("web:   first paint after {paint:.0} ms, ready within {ready:.0} ms");
    if paint <= FIRST_PAINT { Ok(()) } else { Err(format!("the first paint took {paint:.0} ms")) }
}

/// The program of docs/browser.md does what it says, on each device that it is given.
fn guide(visit: &mut Visit<'_>) -> Result<(), String> {
    visit.open("device=cpu")?;
    visit.fits_a_line("auto")?;
    for (device, is_cpu) in [("cpu", true), ("gpu", false)] {
        let used = visit.fits_a_line(device)?;
        if used.starts_with("CPU") != is_cpu {
            return Err(format!("it was told {device:?} and has used {used}"));
        }
    }
    Ok(())
}

/// The page trains to the accuracy, by the losses of the native CPU.
fn trains(visit: &mut Visit<'_>, device: &str) -> Result<(), String> {
    let native = native::losses_of_first_epoch()?;
    let steps = native.len();
    visit.open_on(device, "seed=0")?;
    // A digit to be recognised better and better meanwhile, for the pictures too.
    visit.click("example")?;
    let start = Instant::now();
    visit.click("run")?;
    if device == "gpu" {
        visit.train_until(&format!("page.tested.length > 1 && page.losses.length > {steps}"))?;
        let files = screenshots::take(&mut visit.browser, &workspace().join("target/web-test"), "training")?;
        println!(
            "web:   pictures: {}",
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    visit.train_until(&format!("page.losses.length >= {steps}"))?;
    let epoch = start.elapsed().as_secs_f64();
    let losses = visit.browser.evaluate(&format!("page.losses.slice(0, {steps})"))?;
    let losses: Vec<f64> = losses.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let differences = native.iter().zip(&losses).map(|(native, loss)| (native - loss).abs());
    let (place, most) =
        differences.enumerate().fold((0, 0.0), |most, found| if found.1 > most.1 { found } else { most });
    println!("web:   {steps} losses differ from the native CPU's by at most {most:.1e}, at step {place}; {epoch:.0} s");
    if losses.len() != steps || losses.iter().any(|loss| loss.is_nan()) || most > TOLERANCE {
        return Err(format!("loss {place} is {:?}, and {} natively", losses.get(place), native[place]));
    }
    let done = format!("page.tested.some((test) => test[1] >= {ACCURACY}) || page.losses.length >= {}", EPOCHS * steps);
    visit.train_until(&done)?;
    visit.pause()?;
    let accuracy = visit.number("Math.max(...page.tested.map((test) => test[1]))")?;
    let (trained, seconds) = (visit.number("page.losses.length")?, start.elapsed().as_secs_f64());
    println!("web:   {:.2} % of the test images after {trained} steps and {seconds:.0} s", accuracy * 100.0);
    if accuracy >= ACCURACY { Ok(()) } else { Err(format!("only {:.2} % are recognised", accuracy * 100.0)) }
}

/// A digit that is drawn with the mouse, and one with the keyboard, are recognised by what half an epoch has taught.
fn drawing(visit: &mut Visit<'_>) -> Result<(), String> {
    visit.open_on("cpu", "seed=0")?;
    visit.click("run")?;
    visit.train_until("page.tested.length > 0")?;
    visit.pause()?;
    let place = visit.browser.evaluate(
        "(() => { const canvas = document.getElementById('canvas'); canvas.scrollIntoView(); const box = canvas.getBoundingClientRect();
            return [box.left + box.width / 2, box.top, box.height]; })()",
    )?;
    let [x, top, height] = [0, 1, 2].map(|place_of| place[place_of].as_f64().unwrap_or_default());
    let mut mouse = |kind: &str, y: f64| {
        let event =
            json!({ "type": kind, "x": x, "y": top + y * height, "button": "left", "buttons": 1, "clickCount": 1 });
        visit.browser.call("Input.dispatchMouseEvent", event).map(drop)
    };
    mouse("mousePressed", 0.15)?;
    for part in 1..=14 {
        mouse("mouseMoved", 0.15 + 0.05 * f64::from(part))?;
    }
    mouse("mouseReleased", 0.85)?;
    let one = "document.getElementById('verdict').textContent.startsWith('Looks like a 1')";
    visit.browser.wait_until(one, SHORT)?;

    visit.click("clear")?;
    visit.browser.wait_until("document.getElementById('verdict').textContent.startsWith('Draw')", SHORT)?;
    visit.browser.evaluate("document.getElementById('canvas').focus()")?;
    let mut press = |key: &str, times: usize| {
        for _ in 0..times {
            for kind in ["rawKeyDown", "keyUp"] {
                visit.browser.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key }))?;
            }
        }
        Ok::<(), String>(())
    };
    press("ArrowUp", 8)?;
    press(" ", 1)?;
    press("ArrowDown", 16)?;
    press(" ", 1)?;
    visit.browser.wait_until(one, SHORT)?;

    visit.click("example")?;
    visit.browser.wait_until("/It is a [0-9]/.test(document.getElementById('verdict').textContent)", SHORT)
}

/// Parameters that are saved on one device are those of the other when they are loaded there; what is no such file is refused in words.
fn files(visit: &mut Visit<'_>) -> Result<(), String> {
    visit.open_on("gpu", "seed=0")?;
    visit.click("run")?;
    visit.train_until("page.losses.length >= 8")?;
    visit.pause()?;
    // What the button has the browser keep, kept here instead.
    visit.browser.evaluate(
        "globalThis.kept = new Promise((done) => { const make = URL.createObjectURL; URL.createObjectURL = (blob) => { done(blob); return make(blob); }; }); 0",
    )?;
    visit.click("save")?;
    visit.browser.wait_until("document.getElementById('status').textContent.startsWith('Saved')", SHORT)?;
    let hand_over = |name: &str, blob: &str| {
        format!(
            "(async () => {{ const list = new DataTransfer(); list.items.add(new File([{blob}], '{name}'));
                const file = document.getElementById('file'); file.files = list.files; file.dispatchEvent(new Event('change')); }})()"
        )
    };
    visit.browser.evaluate("document.querySelector('[name=device][value=cpu]').click()")?;
    visit.browser.wait_until(
        "page.kind === 'cpu' && page.losses.length === 0 && !document.getElementById('run').disabled",
        SHORT,
    )?;
    visit.browser.evaluate(&hand_over("digits.safetensors", "await kept"))?;
    visit.browser.wait_until("page.tested.length === 1", LONG)?;
    let same = "(async () => { const [one, other] = [new Uint8Array(await (await kept).arrayBuffer()), page.saved.file];
        return one.length === other.length && one.length > 200000 && one.every((byte, place) => byte === other[place]); })()";
    if visit.browser.evaluate(same)? != Value::Bool(true) {
        return Err("the file that is saved again differs from the one that was loaded".into());
    }
    visit.browser.evaluate(&hand_over("notes.txt", "'no parameters'"))?;
    visit.browser.wait_until("document.getElementById('status').textContent.startsWith('notes.txt: ')", SHORT)
}

/// Where the browser offers no adapter the CPU trains, and the page says so; and so does the program of docs/browser.md, which asks for either.
fn refusal(visit: &mut Visit<'_>) -> Result<(), String> {
    let script = "navigator.gpu.requestAdapter = async () => null";
    visit.browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }))?;
    visit.open("device=gpu")?;
    let (status, device) = (visit.text("status")?, visit.text("device-name")?);
    println!("web:   {device}; {status}");
    if !status.starts_with("No WebGPU here, so the CPU trains") || !device.starts_with("CPU") {
        return Err(format!("the page says {status:?} on {device:?}"));
    }
    visit.click("run")?;
    visit.train_until("page.losses.length >= 4")?;
    visit.pause()?;
    let used = visit.fits_a_line("auto")?;
    if used.starts_with("CPU") { Ok(()) } else { Err(format!("the line was fitted on {used}")) }
}

/// A GPU that is lost is given up, while it trains or while it does nothing, and the CPU goes on from what was kept.
fn loss_of_the_device(visit: &mut Visit<'_>) -> Result<(), String> {
    let script = "const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...given) { return (globalThis.opened = await request.apply(this, given)); }";
    visit.browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }))?;
    visit.open_on("gpu", "batch=8")?;
    lost_while_paused(visit)?;
    visit.browser.evaluate("document.querySelector('[name=device][value=gpu]').click()")?;
    visit.browser.wait_until("page.kind === 'gpu' && !document.getElementById('run').disabled", SHORT)?;
    visit.click("run")?;
    visit.train_until("page.saved !== null && page.losses.length % 500 > 3")?;
    let kept = visit.number("page.saved.steps")?;
    visit.browser.evaluate("opened.destroy()")?;
    visit.browser.wait_until("page.kind === 'cpu' && page.notes.at(-1).startsWith('WebGPU failed')", SHORT)?;
    let status = visit.text("status")?;
    println!("web:   {status}");
    if !status.contains(&format!("from the parameters of step {kept}")) {
        return Err(format!("the parameters of step {kept} were kept, and the page says {status:?}"));
    }
    visit.click("run")?;
    visit.train_until("page.losses.length >= 4")?;
    visit.pause()?;
    // It goes on from what the GPU had learnt, not from the beginning.
    let loss = visit.number("page.losses.slice(0, 4).reduce((sum, loss) => sum + loss) / 4")?;
    if loss < 1.5 { Ok(()) } else { Err(format!("the loss is {loss} after {kept} steps that were kept")) }
}

/// Whoever saves the parameters of a GPU that was lost while the page was paused is told, and has the CPU.
fn lost_while_paused(visit: &mut Visit<'_>) -> Result<(), String> {
    visit.click("run")?;
    visit.train_until("page.losses.length >= 4")?;
    visit.pause()?;
    visit.browser.evaluate("opened.destroy()")?;
    visit.click("save")?;
    let given_up = "page.kind === 'cpu' && page.notes.at(-1).startsWith('WebGPU failed')";
    visit.browser.wait_until(&format!("{given_up} && !document.getElementById('run').disabled"), SHORT)?;
    println!("web:   {}", visit.text("status")?);
    Ok(())
}

/// A GPU that is given up between two parts of a test takes the test with it: the CPU's training begins with no results, and the page goes
/// on saying what has failed.
fn loss_within_a_test(visit: &mut Visit<'_>) -> Result<(), String> {
    // Half an epoch, after which it tests, is 16 steps.
    visit.open_on("gpu", "batch=256")?;
    // Between the first part and the second a drawing has its turn, and fails to be recognised.
    visit.browser.evaluate(
        "(() => { const { training } = page, { testPart } = training;
            training.testPart = async (part) => {
                const found = await testPart.call(training, part);
                training.recognise = async () => { throw Object.assign(new Error('it is gone'), { name: 'GpuError' }); };
                document.getElementById('example').click();
                await new Promise((done) => setTimeout(done, 300));
                return found;
            }; })()",
    )?;
    visit.click("run")?;
    visit.browser.wait_until("page.notes.some((note) => note.startsWith('WebGPU failed'))", LONG)?;
    visit.browser.evaluate("page.loop.then(() => 0)")?;
    let status = visit.text("status")?;
    println!("web:   {status}");
    let is_fresh = visit.browser.evaluate(
        "page.kind === 'cpu' && page.losses.length === 0 && page.tested.length === 0 && page.saved === null",
    )?;
    if is_fresh != Value::Bool(true) || !status.starts_with("WebGPU failed, so the CPU goes on from the beginning") {
        let (tested, saved) =
            (visit.number("page.tested.length")?, visit.browser.evaluate("page.saved?.steps ?? null")?);
        return Err(format!("it has {tested} tests, kept the parameters of step {saved}, and says {status:?}"));
    }
    visit.click("run")?;
    visit.train_until("page.losses.length >= 4")?;
    visit.pause()
}
