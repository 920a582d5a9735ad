//! How a trainer comes to the plans of its functions: they are made of the tensors that have come, checked, and only then kept.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::plan::{MemoryPolicy, Plan};
use crate::session::Prepared;
use crate::train::trainer::function::{Body, Parts, Purpose, Wanted};
use crate::train::trainer::tensors::Tensors;
use crate::train::trainer::{FunctionId, Trainer, Use};

impl Trainer<'_> {
    /// [`Trainer::planned`] of what the members of a group do together: if it fails, the others are told, who wait for this one.
    pub(super) fn planned_together(
        &mut self,
        function: FunctionId,
        purpose: Purpose,
        tensors: &Tensors<'_>,
    ) -> Result<(usize, usize), Error> {
        let planned = self.planned(function, purpose, tensors, Use::Run);
        self.session.noted(planned)
    }

    /// Where the plan of a function for these tensors is, which is made if there is none. An evaluation that is prepared may compute with
    /// first values after training. What a run would refuse of the tensors is refused before anything is kept.
    pub(super) fn planned(
        &mut self,
        function: FunctionId,
        purpose: Purpose,
        tensors: &Tensors<'_>,
        what_for: Use,
    ) -> Result<(usize, usize), Error> {
        let number = self.place(function)?;
        self.now += 1;
        if let Some(place) = self.functions[number].find(purpose, tensors, self.now) {
            if self.is_strict(number, what_for) && self.session.has_untrained() {
                self.session.refuse_untrained(self.functions[number].kept(place).prepared.plan())?;
            }
            return Ok((number, place));
        }
        let (plan, parts) = self.checked(number, purpose, tensors, what_for)?;
        Ok((number, self.keep_plan(number, plan, parts, what_for)?))
    }

    /// Whether a function computes with nothing but what was trained or loaded.
    fn is_strict(&self, number: usize, what_for: Use) -> bool {
        let is_evaluation = matches!(self.functions[number].body, Body::Evaluation(_));
        is_evaluation && what_for != Use::Prepare && self.has_trained()
    }

    /// A new plan of a function for these tensors, of which nothing is kept yet, and nothing is to be refused but for want of memory.
    pub(super) fn checked(
        &self,
        number: usize,
        purpose: Purpose,
        tensors: &Tensors<'_>,
        what_for: Use,
    ) -> Result<(Plan, Parts), Error> {
        self.refuse_repeated_name(number)?;
        let is_lenient = matches!(self.functions[number].body, Body::Evaluation(_));
        let matched = &self.functions[number].matched;
        let precision = self.precision.with_matched(matched);
        let trainable = self.known_names();
        let reached = self.reached_so_far(number);
        let planned = |at_times: &BTreeSet<String>| {
            let wanted = Wanted {
                memory: MemoryPolicy { is_lenient, matched: matched.clone(), ..self.memory.clone() },
                target: self.device().target(),
                exchanges_by: self.exchanges_by(tensors.samples > 0),
                precision: &precision,
                at_times,
                reached: &reached,
                known: &trainable,
            };
            self.functions[number].plan(purpose, tensors, wanted)
        };
        let known = &self.functions[number].reach.at_times;
        let (mut plan, mut parts) = planned(known)?;
        let new = self.newly_at_times(number, &parts);
        if parts.trained.iter().any(|name| new.contains(name)) {
            // Once more, because these have counts of their own.
            (plan, parts) = planned(&known.union(&new).cloned().collect())?;
        }
        parts.at_times = new;
        self.refuse_waiting_learning_rate(number, purpose, &plan)?;
        self.refuse_shared_states(number, &parts, &plan)?;
        if matches!(purpose, Purpose::Run | Purpose::Update) {
            self.refuse_other_optimiser(number, &parts)?;
        }
        if self.is_strict(number, what_for) {
            self.session.refuse_untrained(&plan)?;
        }
        // The update of the deterministic mode is given what shards have come to, and not these.
        if what_for == Use::Run && purpose != Purpose::Update {
            let refused = self.session.refuse_inputs(&plan, &parts.chosen(tensors));
            // Whatever a function asks for has come.
            if let Err(Error::MissingInput { name, shape, origin }) = refused {
                return Err(Error::DeclaredInput { name, shape, origin });
            }
            refused?;
        }
        Ok((plan, parts))
    }

    /// The names of parameters that plans have declared to be trained, and of values that wait for one.
    pub(super) fn known_names(&self) -> Vec<String> {
        self.session.trainable_names().chain(self.session.waiting_names()).map(str::to_owned).collect()
    }

    /// Notes that patterns have names in a function: a plan of it was not refused. What evaluations lack is no error in any of them.
    fn note_matched(&mut self, number: usize, parts: &Parts) {
        let (memory, function) = (&self.memory, &mut self.functions[number]);
        let of_precision = if parts.is_checked_for_precision() { self.precision.patterns() } else { &[] };
        for pattern in memory.kept.iter().chain(&memory.recomputed).chain(of_precision) {
            if !function.matched.contains(pattern) {
                function.matched.push(pattern.clone());
            }
        }
    }

    /// Makes a plan ready that was checked, and keeps it: its place.
    pub(super) fn keep_plan(&mut self, number: usize, plan: Plan, parts: Parts, what_for: Use) -> Result<usize, Error> {
        let is_evaluation = matches!(self.functions[number].body, Body::Evaluation(_));
        let is_noted = is_evaluation && what_for != Use::Prepare;
        let new = if is_noted { self.session.new_names(&plan) } else { Vec::new() };
        let counts = self.own_counts(number, &parts)?;
        let prepared = self.session.prepare_outside_with(plan, &counts)?;
        self.note_owner_of_counts(number, &counts);
        if is_evaluation {
            self.session.note_untrained(&new);
        } else {
            self.session.vouch_for(prepared.plan());
        }
        self.session.mark_training_state(&parts.training_state);
        self.note_owner(number, &parts);
        self.note_matched(number, &parts);
        let session = &self.session;
        let outgrown =
            self.functions.iter_mut().flat_map(|one| one.give_up(|kept| session.has_outgrown(&kept.prepared)));
        let mut outgrown: Vec<Prepared> = outgrown.collect();
        outgrown.extend(self.note_reach(number, &parts));
        let (place, dropped) = self.functions[number].keep(parts, prepared, self.plans_kept, self.now);
        for prepared in outgrown.into_iter().chain(dropped) {
            self.session.drop_outside(prepared);
        }
        self.set_waiting_learning_rate(number)?;
        Ok(place)
    }
}
