//! Loops whose steps the caller's threads share out: rounds of tasks.
//!
//! A kernel that is dealt out is three kinds of functions: one that runs its rounds, given a *runner* and the addresses that all
//! tasks share; for each round one that the runner calls, `(frame, task)`, where the frame holds those addresses; and the task
//! itself, which knows which of them share no memory. A runner is the address of two words, a function and what it is called
//! with (`engine::Runner`, and the header of a package): `run(host, count, task, frame)`. Without one every task runs in turn,
//! so a round gives the same bits whoever runs it.
//!
//! What a task needs for itself alone it takes on the stack, or, where that is much, as one of [`SLOTS`] places of a buffer: a
//! word of bits says which are free.

use crate::ir::{Builder, CmpI, FuncOptions, I8, I64, Index, MemRef, Ptr, Type, Value};

/// Places of a buffer that tasks take for the time they run; more threads than that wait for each other.
pub(crate) const SLOTS: usize = 16;

/// One round: how many tasks, and what a task does with the addresses and its number.
pub(crate) struct Round<'a> {
    pub(crate) tasks: usize,
    pub(crate) body: Box<dyn FnOnce(&mut Builder, &[Value<Ptr>], Value<Index>) + 'a>,
}

impl<'a> Round<'a> {
    pub(crate) fn new(
        tasks: usize,
        body: impl FnOnce(&mut Builder, &[Value<Ptr>], Value<Index>) + 'a,
    ) -> Round<'a> {
        Round { tasks, body: Box::new(body) }
    }
}

/// The function that loops where nobody deals, and hands on where somebody does.
const DEAL: &str = "\
llvm.func internal @deal_tasks(%runner: !llvm.ptr, %count: i64, %task: !llvm.ptr, %frame: !llvm.ptr) {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %null = llvm.mlir.zero : !llvm.ptr
  %alone = llvm.icmp \"eq\" %runner, %null : !llvm.ptr
  llvm.cond_br %alone, ^loop(%zero : i64), ^shared
^shared:
  %run = llvm.load %runner : !llvm.ptr -> !llvm.ptr
  %at = llvm.getelementptr %runner[8] : (!llvm.ptr) -> !llvm.ptr, i8
  %host = llvm.load %at : !llvm.ptr -> !llvm.ptr
  llvm.call %run(%host, %count, %task, %frame) : !llvm.ptr, (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr) -> ()
  llvm.return
^loop(%i: i64):
  %more = llvm.icmp \"slt\" %i, %count : i64
  llvm.cond_br %more, ^body, ^end
^body:
  llvm.call %task(%frame, %i) : !llvm.ptr, (!llvm.ptr, i64) -> ()
  %next = llvm.add %i, %one : i64
  llvm.br ^loop(%next : i64)
^end:
  llvm.return
}";

/// Takes the lowest free place, waiting for one; gives a place back. The word has a bit for each free place.
const PLACES: &str = "\
llvm.func internal @take_place(%word: !llvm.ptr) -> i64 {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  llvm.br ^look
^look:
  %free = llvm.load %word atomic acquire {alignment = 8 : i64} : !llvm.ptr -> i64
  %none = llvm.icmp \"eq\" %free, %zero : i64
  llvm.cond_br %none, ^look, ^try
^try:
  %less = llvm.sub %free, %one : i64
  %left = llvm.and %free, %less : i64
  %made = llvm.cmpxchg %word, %free, %left acq_rel monotonic : !llvm.ptr, i64
  %done = llvm.extractvalue %made[1] : !llvm.struct<(i64, i1)>
  llvm.cond_br %done, ^taken, ^look
^taken:
  %place = \"llvm.intr.cttz\"(%free) <{is_zero_poison = true}> : (i64) -> i64
  llvm.return %place : i64
}
llvm.func internal @give_place(%word: !llvm.ptr, %place: i64) {
  %one = llvm.mlir.constant(1 : i64) : i64
  %bit = llvm.shl %one, %place : i64
  %before = llvm.atomicrmw _or %word, %bit acq_rel : !llvm.ptr, i64
  llvm.return
}";

fn internal(name: &str) -> FuncOptions {
    FuncOptions::new(name).private().attribute("llvm.linkage = #llvm.linkage<internal>")
}

/// Calls the kernel `name` on these addresses, of which those that are `apart` share no byte that is written with any other;
/// where the module lacks it, makes it of `rounds`.
pub(crate) fn kernel<'a>(
    b: &mut Builder,
    name: &str,
    apart: &[bool],
    runner: Value<Ptr>,
    at: &[Value<Ptr>],
    rounds: impl FnOnce() -> Vec<Round<'a>>,
) {
    if !b.module().has(name) {
        make(b, name, apart, at.len(), rounds());
    }
    let all = [&[runner], at].concat();
    b.call_symbol(name, all, ());
}

fn make(b: &mut Builder, name: &str, apart: &[bool], count: usize, rounds: Vec<Round<'_>>) {
    if !b.module().has("deal_tasks") {
        b.module().helper("deal_tasks", DEAL);
    }
    let rounds: Vec<(String, usize)> = rounds
        .into_iter()
        .enumerate()
        .filter(|(_, round)| round.tasks > 0)
        .map(|(k, round)| {
            let body = format!("{name}_part{k}");
            let mut options = internal(&body).attribute("no_inline");
            for (k, _) in apart.iter().enumerate().filter(|(_, apart)| **apart) {
                options = options.argument(k, "llvm.noalias");
            }
            let types = [vec![Ptr.any(); count], vec![Index.any()]].concat();
            b.module().function(options, types, |b, values| {
                let at: Vec<Value<Ptr>> = values[..count].iter().map(|v| b.expect(*v, Ptr)).collect();
                let task = b.expect(values[count], Index);
                (round.body)(b, &at, task);
            });
            if round.tasks > 1 {
                task(b, name, k, count);
            }
            (format!("{name}_task{k}"), round.tasks)
        })
        .collect();
    let options = internal(name).attribute("no_inline");
    b.module().function(options, vec![Ptr; 1 + count], |b, values| {
        let (runner, at) = (values[0], &values[1..]);
        let shared = rounds.iter().any(|(_, tasks)| *tasks > 1);
        let frame = shared.then(|| {
            let room = b.alloca(MemRef::new(I8, [8 * count as i64]), &[]);
            let frame = b.ptr_of(room);
            for (k, at) in at.iter().enumerate() {
                let to = b.ptr_offset(frame, 8 * k);
                b.store_ptr(*at, to);
            }
            frame
        });
        for (symbol, tasks) in &rounds {
            match frame {
                Some(frame) if *tasks > 1 => {
                    let task = b.address_of_task(symbol);
                    let count = b.int(I64, *tasks as i64);
                    b.llvm_call(
                        "deal_tasks",
                        &[runner.any(), count.any(), task.any(), frame.any()],
                        None::<I64>,
                    );
                }
                _ => {
                    let body = symbol.replacen("_task", "_part", 1);
                    let zero = b.index(0);
                    let values = [at.iter().map(|a| a.any()).collect(), vec![zero.any()]].concat();
                    b.call_symbol(&body, values, ());
                }
            }
        }
    });
}

/// The function that the runner calls: reads the addresses from the frame.
fn task(b: &mut Builder, name: &str, k: usize, count: usize) {
    let body = format!("{name}_part{k}");
    b.module().function(internal(&format!("{name}_task{k}")), (Ptr, I64), |b, (frame, task)| {
        let mut values = vec![];
        for k in 0..count {
            let from = b.ptr_offset(frame, 8 * k);
            values.push(b.load_ptr(from, Ptr).any());
        }
        values.push(b.index_cast(task, Index).any());
        b.call_symbol(&body, values, ());
    });
}

/// Makes the places of a buffer free, one for each of so many tasks: before the round whose tasks take them.
pub(crate) fn free_places(b: &mut Builder, word: Value<Ptr>, tasks: usize) {
    let all = b.int(I64, (1 << tasks.min(SLOTS)) - 1);
    b.store_ptr(all, word);
}

/// Runs `body` with the offset of a place of `bytes` bytes that no other running task has.
pub(crate) fn in_place(
    b: &mut Builder,
    word: Value<Ptr>,
    bytes: usize,
    body: impl FnOnce(&mut Builder, Value<Index>),
) {
    if !b.module().has("take_place") {
        b.module().helper("take_place", PLACES);
    }
    let place = b.llvm_call("take_place", &[word.any()], Some(I64));
    let Some(place) = place else { return };
    let index = b.index_cast(place, Index);
    let offset = b.scaled(index, bytes);
    body(b, offset);
    b.llvm_call("give_place", &[word.any(), place.any()], None::<I64>);
}

/// The number of steps of task `task` where a task has `each` of `all`: (first, end).
pub(crate) fn span(
    b: &mut Builder,
    task: Value<Index>,
    each: usize,
    all: usize,
) -> (Value<Index>, Value<Index>) {
    let from = b.scaled(task, each);
    if all.is_multiple_of(each) {
        let to = b.offset(from, each);
        return (from, to);
    }
    let (to, end) = (b.offset(from, each), b.index(all as i64));
    (from, b.minsi(to, end))
}

/// Whether a task is the last of so many.
pub(crate) fn is_last(b: &mut Builder, task: Value<Index>, tasks: usize) -> Value<crate::ir::I1> {
    let last = b.index(tasks as i64 - 1);
    b.cmpi(CmpI::Eq, task, last)
}
