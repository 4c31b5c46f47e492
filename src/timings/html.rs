//! The timeline of a run as one self-contained HTML file.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use tokio::time::Instant;

use super::{CONNECT, EXECUTE, Link, PLAN, Run, Timings, seconds};
use crate::aws::client::Record;
use crate::core::plan::Action;
use crate::deploy::execute::Times;

const STYLE: &str = include_str!("timeline.css");

/// The largest number of ticks on the time axis.
const MAX_TICKS: f64 = 10.0;

/// The timeline of a run that made these calls, as an HTML document.
pub fn page(title: &str, run: &Run, records: &[Record]) -> String {
    let timings = Timings::new(run, records);
    Page { title, run, records, scale: Scale { begun: run.begun, whole: timings.makespan }, timings }.to_string()
}

struct Page<'a> {
    title: &'a str,
    run: &'a Run,
    records: &'a [Record],
    timings: Timings,
    scale: Scale,
}

/// Converts times to positions on the time axis.
struct Scale {
    begun: Instant,
    whole: Duration,
}

impl Scale {
    fn percent(&self, time: Duration) -> f64 {
        100.0 * time.as_secs_f64() / self.whole.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn since_begun(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.begun)
    }

    /// The position and width of a bar, as CSS.
    fn span(&self, from: Instant, until: Instant) -> String {
        let x = self.percent(self.since_begun(from));
        format!("--x:{x:.3}%;--w:{:.3}%", self.percent(until.saturating_duration_since(from)))
    }

    /// The time between two ticks: 1, 2 or 5 times a power of ten.
    fn tick(&self) -> Duration {
        let least = (self.whole.as_secs_f64() / MAX_TICKS).max(1e-3);
        let unit = 10_f64.powf(least.log10().floor());
        let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * unit >= least * 0.999).unwrap_or(10.0);
        Duration::from_secs_f64(times * unit)
    }
}

/// Text escaped for HTML, attributes included.
struct Text<T>(T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.to_string().chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => write!(f, "{c}"),
        })
    }
}

/// A row of the chart: the calls of one step, or one service's calls outside of steps.
struct Lane<'a> {
    name: &'a str,
    note: String,
    times: Option<&'a Times>,
    failed: Option<&'a str>,
    link: Option<&'a Link>,
    calls: Vec<&'a Record>,
}

impl<'a> Page<'a> {
    /// The calls outside of steps, by service.
    fn lanes_of_services(&self) -> Vec<Lane<'a>> {
        let mut services: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in self.records.iter().filter(|record| self.step(record).is_none()) {
            services.entry(record.service).or_default().push(record);
        }
        let lane = |(name, calls)| Lane { name, note: String::new(), times: None, failed: None, link: None, calls };
        let mut lanes: Vec<Lane> = services.into_iter().map(lane).collect();
        lanes.sort_by_key(|lane| lane.calls.iter().map(|call| call.started).min());
        lanes
    }

    /// The steps of a round in the order of their start.
    fn lanes_of_steps(&self, round: usize) -> Vec<Lane<'_>> {
        let at = &self.run.rounds[round];
        let mut lanes: Vec<Lane> = at
            .times
            .iter()
            .map(|(index, times)| {
                let step = &at.plan.steps[*index];
                let kind = step.type_name.strip_prefix("AWS::").unwrap_or(step.type_name);
                let verb = if step.action == Action::Create { "" } else { step.action.word() };
                Lane {
                    name: &step.name,
                    note: format!("{verb} {kind}").trim_start().to_owned(),
                    times: Some(times),
                    failed: at.failed.get(index).map(String::as_str),
                    link: self.timings.schedule.iter().find(|link| (link.round, link.step) == (round, *index)),
                    calls: self.records.iter().filter(|record| self.step(record) == Some((round, *index))).collect(),
                }
            })
            .collect();
        lanes.sort_by_key(|lane| lane.times.map(|times| times.started));
        lanes
    }

    /// The round and the step that a call was made for.
    fn step(&self, record: &Record) -> Option<(usize, usize)> {
        let round = self.run.rounds.iter().position(|round| round.contains(record))?;
        record.step.filter(|step| self.run.rounds[round].times.contains_key(step)).map(|step| (round, step))
    }

    fn sums(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Timings { makespan, connect, plan, schedule, .. } = &self.timings;
        let refused = self.records.iter().filter(|record| record.refused.is_some()).count();
        let sums = [
            ("Makespan", seconds(*makespan)),
            ("Schedule", seconds(self.timings.scheduled())),
            ("Calls", self.records.len().to_string()),
            ("Refused", refused.to_string()),
        ];
        f.write_str("<dl class=\"sums\">")?;
        sums.iter().try_for_each(|(name, value)| write!(f, "<div><dt>{name}</dt><dd>{value}</dd></div>"))?;
        f.write_str("</dl>\n<ol class=\"path\" aria-label=\"Schedule\">")?;
        for (name, time) in [(CONNECT, connect), (PLAN, plan)] {
            write!(f, "<li class=\"before\"><b>{name}</b> {}</li>", seconds(*time))?;
        }
        for link in schedule {
            write!(f, "<li><b>{}</b> {}</li>", Text(&link.name), seconds(link.time))?;
        }
        f.write_str("</ol>\n<div class=\"legend\">")?;
        for (class, meaning) in [
            (CONNECT, "connect"),
            (PLAN, "plan (code, reading)"),
            ("call", "call"),
            ("refused", "refused call"),
            ("wait", "step without a call"),
            ("settle", "created, not ready yet"),
            ("schedule", "schedule"),
        ] {
            write!(f, "<span><i class=\"{class}\"></i>{meaning}</span>")?;
        }
        f.write_str("</div>\n")
    }

    /// The time axis, and the schedule on it.
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<div class=\"head\"><div class=\"name\"></div><div class=\"axis\">")?;
        let tick = self.scale.tick();
        let digits = (-tick.as_secs_f64().log10().floor()).clamp(0.0, 3.0) as usize;
        for at in (0..).map(|nth| tick * nth).take_while(|at| *at <= self.scale.whole) {
            write!(f, "<span style=\"--x:{:.3}%\">{:.digits$} s</span>", self.scale.percent(at), at.as_secs_f64())?;
        }
        f.write_str("</div><div class=\"name\">Schedule</div><div class=\"track\" style=\"--rows:1\">")?;
        for phase in self.run.phases().iter().filter(|phase| phase.name != EXECUTE) {
            self.bar(f, phase.name, 0, (phase.started, phase.ended), phase.name, "")?;
        }
        for link in &self.timings.schedule {
            let spent = format!("AWS took {}", seconds(link.time));
            self.bar(f, "schedule", 0, (link.started, link.ended), &link.name, &spent)?;
        }
        f.write_str("</div></div>\n")
    }

    fn lane(&self, f: &mut Formatter<'_>, lane: &Lane<'_>) -> fmt::Result {
        let (rows, placed) = stack(&lane.calls);
        let on_path = if lane.link.is_some() { " on-path" } else { "" };
        let failed = if lane.failed.is_some() { " failed" } else { "" };
        write!(f, "<div class=\"lane{on_path}{failed}\"><div class=\"name\" title=\"{}", Text(lane.name))?;
        write!(f, " {}", Text(&lane.note))?;
        if let Some(error) = lane.failed {
            write!(f, "\nfailed: {}", Text(error))?;
        }
        write!(f, "\">{} <small>{}</small></div>", Text(lane.name), Text(&lane.note))?;
        write!(f, "<div class=\"track\" style=\"--rows:{rows}\">")?;
        if let Some(times) = lane.times {
            let made = times.made.unwrap_or(times.ended);
            self.bar(f, &format!("wait{on_path}"), 0, (times.started, times.ended), lane.name, "")?;
            if made < times.ended {
                self.bar(f, &format!("settle{on_path}"), 0, (made, times.ended), lane.name, "created, not ready yet")?;
            }
        }
        for (row, call) in placed {
            let (class, answer) = match &call.refused {
                // A call without an answer has no error code.
                Some(code) if code.is_empty() => ("call refused", "no answer"),
                Some(code) => ("call refused", code.as_str()),
                None => ("call", ""),
            };
            self.bar(f, class, row, (call.started, call.ended), call.operation, answer)?;
        }
        f.write_str("</div></div>\n")
    }

    fn bar(
        &self,
        f: &mut Formatter<'_>,
        class: &str,
        row: usize,
        (from, until): (Instant, Instant),
        what: &str,
        more: &str,
    ) -> fmt::Result {
        let place = self.scale.span(from, until);
        let (at, time) = (seconds(self.scale.since_begun(from)), seconds(until.saturating_duration_since(from)));
        write!(f, "<div class=\"{class}\" style=\"{place};--r:{row}\" title=\"{}\nat {at}, took {time}", Text(what))?;
        if !more.is_empty() {
            write!(f, "\n{}", Text(more))?;
        }
        let label = match class {
            "call refused" => more,
            // Bars beneath the calls have no label.
            _ if class.starts_with("wait") || class.starts_with("settle") => "",
            _ => what,
        };
        write!(f, "\"><span>{}</span></div>", Text(label))
    }

    /// All calls as a table, for readers who cannot hover.
    fn table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(
            "<details><summary>All calls</summary><div class=\"scroll\"><table>\n<tr><th class=\"number\">at</th>",
        )?;
        f.write_str("<th class=\"number\">took</th><th>call</th><th>for</th><th>answer</th></tr>\n")?;
        let mut calls: Vec<&Record> = self.records.iter().collect();
        calls.sort_by_key(|call| call.started);
        for call in calls {
            let step = self.step(call).map(|(round, step)| self.run.rounds[round].plan.steps[step].name.as_str());
            let at = seconds(self.scale.since_begun(call.started));
            let took = seconds(call.ended.saturating_duration_since(call.started));
            write!(f, "<tr><td class=\"number\">{at}</td><td class=\"number\">{took}</td>")?;
            write!(f, "<td>{} {}</td>", Text(call.service), Text(call.operation))?;
            let answer = match call.refused.as_deref() {
                Some("") => "no answer",
                Some(code) => code,
                None => "",
            };
            writeln!(f, "<td>{}</td><td class=\"code\">{}</td></tr>", Text(step.unwrap_or("")), Text(answer))?;
        }
        f.write_str("</table></div></details>\n")
    }

    /// The phases as the background of every lane, as CSS.
    fn bands(&self) -> String {
        let bands = self.run.phases().into_iter().map(|phase| {
            let at = |moment| self.scale.percent(self.scale.since_begun(moment));
            format!("var(--{}) {:.3}% {:.3}%", phase.name, at(phase.started), at(phase.ended))
        });
        format!("linear-gradient(to right, {})", bands.collect::<Vec<_>>().join(", "))
    }
}

/// Assigns overlapping calls to different rows. Returns the number of rows, and each call with its row.
fn stack<'a>(calls: &[&'a Record]) -> (usize, Vec<(usize, &'a Record)>) {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.started);
    let mut rows: Vec<Instant> = Vec::new();
    let placed = calls.into_iter().map(|call| {
        let row = rows.iter().position(|taken| *taken <= call.started).unwrap_or(rows.len());
        if row == rows.len() {
            rows.push(call.ended);
        } else {
            rows[row] = call.ended;
        }
        (row, call)
    });
    let placed: Vec<_> = placed.collect();
    (rows.len().max(1), placed)
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let title = Text(self.title);
        writeln!(f, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>")?;
        f.write_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")?;
        writeln!(f, "<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>")?;
        self.sums(f)?;
        let tick = self.scale.percent(self.scale.tick());
        writeln!(f, "<div class=\"chart\" style=\"--tick:{tick:.3}%;--bands:{}\">", self.bands())?;
        self.head(f)?;
        f.write_str("<h2>Connecting and reading</h2>\n")?;
        self.lanes_of_services().iter().try_for_each(|lane| self.lane(f, lane))?;
        for round in 0..self.run.rounds.len() {
            let lanes = self.lanes_of_steps(round);
            if !lanes.is_empty() {
                f.write_str("<h2>Steps</h2>\n")?;
            }
            lanes.iter().try_for_each(|lane| self.lane(f, lane))?;
        }
        f.write_str("</div>\n")?;
        self.table(f)?;
        f.write_str("</body>\n</html>\n")
    }
}
