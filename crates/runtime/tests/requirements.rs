//! A run requires of its inputs what it computes from them, and nothing that was refused, removed or left out.

use crate::suite::devices::devices;
use arenagrad::{DType, Error, Graph, Session, Tensor};

fn table(rows: usize) -> Tensor {
    Tensor::new([rows, 2], (0..2 * rows).map(|x| x as f32).collect::<Vec<_>>()).unwrap()
}

fn indices() -> Tensor {
    Tensor::new([1, 2], vec![4, 3]).unwrap()
}

#[test]
fn a_refused_operation_requires_nothing() {
    for device in devices() {
        let g = Graph::new();
        let (short, long) = (g.input("short", [2, 2]), g.input("long", [5, 2]));
        let (i, f) = (g.input_of("i", [1, 2], DType::I32), g.input("f", [1, 2]));
        let refused = [
            short.gather(0, f),
            short.sum(0).gather(0, i),
            short.scatter_add(0, i, long),
            short.index_select(3, i),
            short.cross_entropy(i),
        ];
        assert!(refused.iter().all(|expr| expr.id().is_err()));
        g.take_error();
        let good = long.gather(0, i);
        let mut session = Session::evaluate(&g, &[good], &device).unwrap();
        let values = session.run(&[("long", &table(5)), ("i", &indices())]).unwrap();
        assert_eq!(values[0].to_f64_vec(), [8.0, 7.0], "{device}");
    }
}

#[test]
fn what_is_not_wanted_requires_nothing() {
    for device in devices() {
        let g = Graph::new();
        let (short, long) = (g.input("short", [2, 2]), g.input("long", [5, 2]));
        let i = g.input_of("i", [1, 2], DType::I32);
        let (narrow, good) = (short.gather(0, i), long.gather(0, i));
        let given = [("short", &table(2)), ("long", &table(5)), ("i", &indices())];
        let mut session = Session::evaluate(&g, &[good], &device).unwrap();
        assert_eq!(session.run(&given).unwrap()[0].to_f64_vec(), [8.0, 7.0], "{device}");
        // Wanted, it is required, and so it is of a gradient alone.
        let [gradient] = narrow.sum(..).grad([short]).unwrap();
        for wanted in [narrow, gradient, narrow.sum(..)] {
            let mut session = Session::evaluate(&g, &[good, wanted], &device).unwrap();
            assert!(matches!(session.run(&given), Err(Error::IndexOutOfRange { bound: 2, .. })), "{device}");
        }
        // Removed, it is not.
        let unused = g.input_of("j", [1, 2], DType::I32);
        let removed = short.gather(0, unused);
        g.remove(removed.id().unwrap()).unwrap();
        let mut session = Session::evaluate(&g, &[long.gather(0, unused)], &device).unwrap();
        assert!(session.run(&[("long", &table(5)), ("j", &indices())]).is_ok(), "{device}");
    }
}

/// Labels are required of by the loss alone that reads them.
#[test]
fn labels_are_required_by_the_loss_that_is_wanted() {
    for device in devices() {
        let g = Graph::new();
        let (few, many) = (g.input("few", [2, 3]), g.input("many", [2, 9]));
        let labels = g.input_of("labels", [2], DType::I32);
        let losses = [few.cross_entropy(labels), many.cross_entropy(labels)];
        let hot = labels.one_hot(3);
        let (x, y) = (Tensor::zeros([2, 3], DType::F32).unwrap(), Tensor::zeros([2, 9], DType::F32).unwrap());
        let given = [("few", &x), ("many", &y), ("labels", &Tensor::new([2], vec![8, 0]).unwrap())];
        let run = |wanted| Session::evaluate(&g, &[wanted], &device).unwrap().run(&given).map(drop);
        assert_eq!(run(losses[1]), Ok(()), "{device}");
        for wanted in [losses[0], hot, losses[0].grad([few]).unwrap()[0]] {
            assert!(matches!(run(wanted), Err(Error::IndexOutOfRange { value: 8, bound: 3, .. })), "{device}");
        }
        assert_eq!(run(losses[1].grad([many]).unwrap()[0]), Ok(()), "{device}");
    }
}
