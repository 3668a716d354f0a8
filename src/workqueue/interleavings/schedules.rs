//! Every schedule that is at most so many delays away from the plainest one, one after the other.
//!
//! All schedules of three threads with twenty steps each would take longer than the universe is old. But a mistake shows
//! when a thread is held up at one or two bad moments, not at twenty. The plainest schedule lets each thread run until it
//! waits or ends, and then the next one, in a circle. To hold up the thread whose turn it is, for the next one in the
//! circle, is a delay. What is bounded is the number of delays, and within that bound nothing is left out
//! (Emmi, Qadeer, Rakamarić: Delay-bounded scheduling, POPL 2011).

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// A depth-first search through the delays of a schedule.
pub(super) struct Schedules {
    /// How many delays a schedule may have.
    delays: usize,
    /// What was chosen at each step of this schedule. The next one has the same beginning.
    choices: Vec<Choice>,
    /// How many steps of this schedule are done; 0 before the first schedule.
    step: usize,
    /// How many delays this schedule has left.
    left: usize,
}

/// How many threads are held up at a step, and how many could be.
struct Choice {
    held_up: usize,
    at_most: usize,
}

impl Schedules {
    pub(super) fn with_delays(delays: usize) -> Self {
        Self { delays, choices: Vec::new(), step: 0, left: 0 }
    }

    /// Changes the last choice that can be another one, and forgets those after it. False if there is none left.
    fn next_path(&mut self) -> bool {
        while let Some(last) = self.choices.last_mut() {
            if last.held_up < last.at_most {
                last.held_up += 1;
                return true;
            }
            self.choices.pop();
        }
        false
    }
}

impl Scheduler for Schedules {
    fn new_execution(&mut self) -> Option<Schedule> {
        let first = self.step == 0;
        (first || self.next_path()).then(|| {
            (self.step, self.left) = (0, self.delays);
            Schedule::new(0)
        })
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, _yielding: bool) -> Option<TaskId> {
        let mut circle: Vec<TaskId> = runnable.iter().map(|task| task.id()).collect();
        circle.sort_by_key(|id| (Some(*id) < current, *id));
        if self.step == self.choices.len() {
            self.choices.push(Choice { held_up: 0, at_most: self.left.min(circle.len() - 1) });
        }
        let Choice { held_up, at_most: _ } = self.choices[self.step];
        self.step += 1;
        self.left -= held_up;
        circle.get(held_up).copied()
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
