//! The same types, with a point before each operation at which another thread may come in between.
//!
//! shuttle runs all threads of a test on one thread of the machine and switches between them at such points only. What
//! is between two points is therefore one step, and every gap between two operations has a point. Outside of
//! [`interleave`], a point does nothing.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{LockResult, MutexGuard, TryLockError};
use std::task::{Context, Poll};

thread_local! {
    static INTERLEAVED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `test`, in which shuttle decides at each point.
pub(in crate::workqueue) fn interleave<T>(test: impl FnOnce() -> T) -> T {
    INTERLEAVED.set(true);
    let result = test();
    INTERLEAVED.set(false);
    result
}

/// Another thread may come in between here.
pub(in crate::workqueue) fn another_may_run() {
    // A thread that panics unwinds without a break, or the panic would be another thread's.
    if INTERLEAVED.get() && !std::thread::panicking() {
        // Any operation of shuttle's will do. Not `yield_now`: it wakes the thread, and the wake-ups are what is tested.
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}

#[derive(Debug)]
pub(in crate::workqueue) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(in crate::workqueue) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// A critical section has no point in it, so under shuttle nobody ever finds the lock taken.
    pub(in crate::workqueue) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        another_may_run();
        if !INTERLEAVED.get() {
            return self.0.lock();
        }
        match self.0.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(error)) => Err(error),
            Err(TryLockError::WouldBlock) => panic!("a critical section touches something that others wait for"),
        }
    }
}

#[derive(Debug)]
pub(in crate::workqueue) struct AtomicBool(std::sync::atomic::AtomicBool);

impl AtomicBool {
    pub(in crate::workqueue) fn new(value: bool) -> Self {
        Self(std::sync::atomic::AtomicBool::new(value))
    }

    pub(in crate::workqueue) fn load(&self, order: Ordering) -> bool {
        another_may_run();
        self.0.load(order)
    }

    pub(in crate::workqueue) fn store(&self, value: bool, order: Ordering) {
        another_may_run();
        self.0.store(value, order);
    }

    pub(in crate::workqueue) fn compare_exchange(
        &self,
        current: bool,
        new: bool,
        success: Ordering,
        failure: Ordering,
    ) -> Result<bool, bool> {
        another_may_run();
        self.0.compare_exchange(current, new, success, failure)
    }
}

#[derive(Debug)]
pub(in crate::workqueue) struct Notify(tokio::sync::Notify);

impl Notify {
    pub(in crate::workqueue) fn new() -> Self {
        Self(tokio::sync::Notify::new())
    }

    pub(in crate::workqueue) fn notified(&self) -> Notified<'_> {
        another_may_run();
        Notified(Box::pin(self.0.notified()))
    }

    pub(in crate::workqueue) fn notify_one(&self) {
        another_may_run();
        self.0.notify_one();
    }

    pub(in crate::workqueue) fn notify_waiters(&self) {
        another_may_run();
        self.0.notify_waiters();
    }
}

/// A wake-up that is waited for: its polls are operations, too.
pub(in crate::workqueue) struct Notified<'a>(Pin<Box<tokio::sync::futures::Notified<'a>>>);

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        another_may_run();
        self.0.as_mut().poll(context)
    }
}
