//! Plans that train nothing, over a session's parameters.

use arenagrad_graph::{Expr, Graph, Origin};

use crate::error::Error;
use crate::plan::{MemoryPolicy, Plan, Request};
use crate::precision::Rounding;
use crate::session::{PlanId, Session, required};
use crate::train::append_state_updates;

impl Session {
    /// Adds a plan over the same parameters: the same network on another batch size, or other outputs. Parameters that the
    /// session does not have yet are initialised; those that it has keep their values. The session is as it was if the plan
    /// is refused.
    ///
    /// Errors: as [`Session::evaluate`].
    #[track_caller]
    pub fn add(&mut self, graph: &Graph, outputs: &[Expr<'_>]) -> Result<PlanId, Error> {
        let origin = Origin::here();
        let outputs = required(graph, outputs, "Session::add", origin)?;
        self.add_required(graph, &outputs, origin)
    }

    /// [`Session::add`] of expressions of which nothing is wrong.
    pub(super) fn add_required(
        &mut self,
        graph: &Graph,
        outputs: &[Expr<'_>],
        origin: Origin,
    ) -> Result<PlanId, Error> {
        let rounding = self.precision.of_evaluation(graph)?;
        self.add_rounded(graph, outputs, rounding, self.updates_states.then_some(origin))
    }

    /// The same in a graph of which that is rounded. States are updated if there is a place where that was asked for.
    pub(crate) fn add_rounded(
        &mut self,
        graph: &Graph,
        outputs: &[Expr<'_>],
        rounding: Option<Rounding>,
        updates: Option<Origin>,
    ) -> Result<PlanId, Error> {
        let ids = outputs.iter().map(|output| output.id()).collect::<Result<Vec<_>, _>>()?;
        let mut request = Request {
            outputs: ids.clone(),
            stages: vec![("forward", ids)],
            rest: "rest",
            rounding,
            memory: MemoryPolicy { is_lenient: !self.plans.is_empty(), ..self.memory_policy.clone() },
            target: self.device.target(),
            ..Request::default()
        };
        let plan = graph.temporarily(|| {
            if let Some(origin) = updates {
                request.updates = append_state_updates(graph, origin)?;
            }
            Plan::new(graph, &request)
        })?;
        self.prepare(plan)
    }
}
