//! What a run is given is read where it stands, and nobody else's afterwards: tensors are copied when two owners want to differ.

use arenagrad::{DType, Device, Graph, Init, Session, Sgd, Tensor};

fn address(tensor: &mut Tensor) -> usize {
    tensor.as_mut_slice::<f32>().unwrap().as_ptr() as usize
}

#[test]
fn a_clone_has_the_same_elements_until_one_is_written() {
    let first = Tensor::from([1.0f32, 2.0]);
    let mut second = first.clone();
    let stands = |tensor: &Tensor| tensor.as_slice::<f32>().unwrap().as_ptr();
    assert_eq!(stands(&first), stands(&second));
    second.as_mut_slice::<f32>().unwrap()[0] = 5.0;
    assert_eq!((first.to_f64_vec(), second.to_f64_vec()), (vec![1.0, 2.0], vec![5.0, 2.0]));
    // Nobody shares either of them now.
    let before = address(&mut second);
    assert_eq!(before, address(&mut second));
}

#[test]
fn a_run_leaves_what_it_was_given_to_the_caller() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [2]), g.parameter("w", [2], Init::Constant(1.0)));
    let mut session = Session::train(&g, (x * w).sum(..), Sgd::new(0.5), Device::cpu()).unwrap();
    let mut value = Tensor::from([1.0f32, 2.0]);
    let before = address(&mut value);
    for step in 0..4 {
        value.as_mut_slice::<f32>().unwrap()[0] = step as f32;
        session.step(&[("x", &value)]).unwrap();
        session.advance(&[("x", &value)]).unwrap();
        session.step_with_metrics(&[("x", &value)]).unwrap();
        // Written in place: no session holds it.
        assert_eq!(address(&mut value), before);
    }
    assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [1.0 - 1.5 * 6.0, 1.0 - 3.0 * 4.0 * 0.5 * 2.0]);
}

#[test]
fn an_output_that_is_an_input_is_a_tensor_of_its_own() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let mut session = Session::evaluate(&g, &[x, x.reshape([3, 1]), x + 1.0], &Device::cpu()).unwrap();
    let mut value = Tensor::from([1.0f32, 2.0, 3.0]);
    let results = session.run(&[("x", &value)]).unwrap();
    value.as_mut_slice::<f32>().unwrap().fill(9.0);
    let found: Vec<Vec<f64>> = results.iter().map(Tensor::to_f64_vec).collect();
    assert_eq!(found, [vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0], vec![2.0, 3.0, 4.0]]);
    assert_eq!(session.run(&[("x", &value)]).unwrap()[2].to_f64_vec(), [10.0; 3]);
}

#[test]
fn inputs_of_another_storage_type_and_of_another_plan() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [4]), g.input("y", [4]));
    let mut session = Session::evaluate(&g, &[x + y], &Device::cpu()).unwrap();
    let product = session.add(&g, &[x * y]).unwrap();
    let narrow = Tensor::from([1.0f32, 2.0, 3.0, 4.0]).cast(arenagrad::StorageType::Bf16);
    let wide = Tensor::from([0.5f32, 0.25, 2.0, 1.0]);
    for _ in 0..3 {
        assert_eq!(session.run(&[("x", &narrow), ("y", &wide)]).unwrap()[0].to_f64_vec(), [1.5, 2.25, 5.0, 5.0]);
        // The same tensor twice, and the same buffers for another plan.
        let squares = session.run_plan(product, &[("x", &wide), ("y", &wide)]).unwrap();
        assert_eq!(squares[0].to_f64_vec(), [0.25, 0.0625, 4.0, 1.0]);
    }
}

#[cfg(feature = "linear_algebra")]
#[test]
fn a_failed_run_gives_back_what_it_was_given() {
    let g = Graph::new();
    let a = g.input("a", [2, 2]);
    let mut session = Session::evaluate(&g, &[a.inv()], &Device::cpu()).unwrap();
    let mut matrix = Tensor::from([[1.0f32, 2.0], [2.0, 4.0]]);
    let before = address(&mut matrix);
    assert!(matches!(session.run(&[("a", &matrix)]), Err(arenagrad::Error::Matrix { .. })));
    assert_eq!(address(&mut matrix), before);
    matrix.as_mut_slice::<f32>().unwrap().copy_from_slice(&[2.0, 0.0, 0.0, 4.0]);
    assert_eq!(session.run(&[("a", &matrix)]).unwrap()[0].to_f64_vec(), [0.5, 0.0, 0.0, 0.25]);
}

#[test]
fn a_profile_runs_often_over_what_it_was_given_once() {
    let g = Graph::new();
    let (table, rows) = (g.literal([3], vec![5.0f32, 6.0, 7.0]), g.input_of("rows", [2], DType::I32));
    let mut session = Session::evaluate(&g, &[table.gather(0, rows)], &Device::cpu()).unwrap();
    let rows = Tensor::from([2, 0]);
    let profile = session.profile(&[("rows", &rows)]).unwrap();
    assert!(profile.runs > 0);
    assert_eq!(session.run(&[("rows", &rows)]).unwrap()[0].to_f64_vec(), [7.0, 5.0]);
}
