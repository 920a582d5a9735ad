//! The primer's network: from expressions to arcs, and what is printed and drawn of it.

use arenagrad_examples::primer::{Dag, DataSet, PrimerError, dictionaries, dot, parse_truth, svg};

const LECTURE: [&str; 4] = ["xx=xa^2", "xy=ab*xx+ac*xa", "xz=bc*xx+xy", "xw=cd*xx+xz^3"];

fn lecture() -> Dag {
    Dag::parse(&LECTURE).unwrap()
}

#[test]
fn the_lecture_s_dictionaries_are_printed_as_in_the_lecture() {
    let expected = "depends_on['xx']  =  ['xa']\n\
                    depends_on['xy']  =  ['xa', 'xx']\n\
                    depends_on['xz']  =  ['xx', 'xy']\n\
                    depends_on['xw']  =  ['xx', 'xz']\n\
                    \n\
                    leads_to['xa']    =  ['xx', 'xy']\n\
                    leads_to['xx']    =  ['xy', 'xz', 'xw']\n\
                    leads_to['xy']    =  ['xz']\n\
                    leads_to['xz']    =  ['xw']\n";
    let dag = lecture();
    assert_eq!(dictionaries(&dag), expected);
    assert_eq!(dag.variables()[..dag.independent()], ["xa"]);
    assert_eq!(dag.parameters(), ["ab", "ac", "bc", "cd"]);
    assert_eq!(dag.variable_names(dag.outputs()), ["xw"]);
}

#[test]
fn expressions_come_in_any_order() {
    let dag = Dag::parse(&["xw=cd*xx+xz^3", "xz = bc*xx + xy", "xx=xa^2", " xy =ab*xx+ac*xa"]).unwrap();
    assert_eq!(dag.variables(), ["xa", "xx", "xy", "xz", "xw"]);
    assert_eq!(dag.variable_names(dag.leads_to(1)), ["xy", "xz", "xw"]);
    let order: Vec<&str> = dag.evaluation_order().iter().map(|expression| expression.text.as_str()).collect();
    assert_eq!(order, ["xx=xa^2", " xy =ab*xx+ac*xa", "xz = bc*xx + xy", "xw=cd*xx+xz^3"]);
}

#[test]
fn outputs_are_found_or_named() {
    let expressions = ["xp=a*xa", "xq=b*xa", "xr=xp+xq", "xs=c*xp"];
    let dag = Dag::parse(&expressions).unwrap();
    assert_eq!(dag.variable_names(dag.outputs()), ["xr", "xs"]);
    let dag = dag.with_outputs(&["xs", "xp"]).unwrap();
    assert_eq!(dag.variable_names(dag.outputs()), ["xs", "xp"]);
    let refused = |names: &[&str]| Dag::parse(&expressions).unwrap().with_outputs(names).unwrap_err().to_string();
    assert_eq!(refused(&["xt"]), r#"no variable is named "xt"; the network has xa, xp, xq, xr, xs"#);
    assert_eq!(refused(&["xa"]), "xa is an independent variable and cannot be an output");
    assert_eq!(refused(&["xr", "xr"]), "output xr was named twice");
}

#[test]
fn what_is_no_network_is_refused_with_its_place() {
    let refused = |expressions: &[&str]| Dag::parse(expressions).unwrap_err().to_string();
    let table: [(&[&str], &str); 7] = [
        (&[], "no expressions were given, so there is no network"),
        (&["xx"], r#"expression 1, "xx": there is no '=' between a variable and what it is"#),
        (&["2x=xa"], r#"expression 1, "2x=xa": the left side "2x" is not a name"#),
        (&["xx=xa", "xx=xb"], r#"expression 2, "xx=xb": xx was already defined by expression 1"#),
        (&["xx=xx+xa"], "the variables depend on each other in a circle: xx -> xx"),
        (
            &["xo=xb", "xa=xb", "xb=p*xc", "xc=xa+xd", "xd=xe"],
            "the variables depend on each other in a circle: xa -> xc -> xb -> xa",
        ),
        (
            &["ab=xa"],
            "expression 1, \"ab=xa\": the left side \"ab\" is a learnable parameter, because only the names of variables \
             start with x",
        ),
    ];
    for (expressions, message) in table {
        assert_eq!(refused(expressions), message);
    }
    // The parser says what is wrong; the column is that of the whole expression, and the caret stands under it.
    for (expression, column) in [("xx=xa^", 7), ("xy = 2*(xx", 8), ("xy=xx xz", 7), ("  xy  =  $", 10), ("xy=xa=2", 6)]
    {
        let error = Dag::parse(&["xx=xa", expression]).unwrap_err();
        let PrimerError::Syntax { number: 2, column: found, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, column, "{expression}");
        let message = error.to_string();
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines[1], format!("  {expression}"));
        assert_eq!(lines[2], format!("  {:>column$}", '^'));
    }
}

#[test]
fn a_truth_names_every_parameter_once() {
    let dag = lecture();
    assert_eq!(parse_truth(&dag, "ab=1.0, bc=-2,cd = 3e1,ac=4").unwrap(), [1.0, 4.0, -2.0, 30.0]);
    let refused = |text: &str| parse_truth(&dag, text).unwrap_err().to_string();
    assert_eq!(refused("ab=1,cd=3"), "the truth gives no value for ac, bc");
    assert_eq!(refused("ab=1,ab=1"), "the truth gives ab twice");
    assert_eq!(refused("ab"), r#"the true value "ab" is not of the form NAME=NUMBER"#);
    assert_eq!(refused("ab=one"), r#"the true value "ab=one" is not of the form NAME=NUMBER"#);
    assert_eq!(
        refused("ab=1,bc=2,cd=3,ac=4,xa=1"),
        r#"the truth gives a value for "xa", which is no learnable parameter; the network has ab, ac, bc, cd"#
    );
    assert_eq!(refused("ab=NaN,bc=2,cd=3,ac=4"), "the true value of ab is NaN, which is not a finite number");
}

#[test]
fn pictures_show_variables_arcs_and_parameters() {
    let dag = lecture();
    let text = dot(&dag);
    for line in [
        "xa [label = \"xa\", fillcolor = \"#cfe8ff\"];",
        "xw [label = \"xw\\ncd*xx+xz^3\", fillcolor = \"#ffe2b8\", penwidth = 2.5];",
        "xa -> xx;",
        "xx -> xy [label = \"ab\"];",
        "xa -> xy [label = \"ac\"];",
        "xx -> xz [label = \"bc\"];",
        "xy -> xz;",
        "xx -> xw [label = \"cd\"];",
        "xz -> xw;",
    ] {
        assert!(text.contains(&format!("  {line}\n")), "{line}\n{text}");
    }
    let picture = svg(&dag);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("marker-end").count(), 7);
    assert_eq!(picture.matches("rx=\"7\"").count(), 5);
    for label in ["ab", "ac", "bc", "cd"] {
        assert_eq!(picture.matches(&format!(">{label}</text>")).count(), 1);
    }
}

#[test]
fn long_networks_need_no_deep_stack() {
    const LENGTH: usize = 5_000;
    let expressions: Vec<String> = std::iter::once("x0=a*xi".to_owned())
        .chain((1..LENGTH).map(|place| format!("x{place}=x{}-b*xi", place - 1)))
        .collect();
    let work = move || {
        let mut turned = expressions.clone();
        turned.reverse();
        let dag = Dag::parse(&turned).unwrap();
        assert_eq!(dag.variables().len(), LENGTH + 1);
        let data = DataSet::generate(&dag, &parse_truth(&dag, "a=1,b=0.001").unwrap(), 3, 0).unwrap();
        let expected = data.inputs[0][0] * (1.0 - 0.001 * (LENGTH - 1) as f64);
        assert!((data.outputs[0][0] - expected).abs() < 1e-9);
        assert!(svg(&dag).len() > LENGTH);
        let circle: Vec<String> = (0..LENGTH).map(|place| format!("x{place}=x{}", (place + 1) % LENGTH)).collect();
        let error = Dag::parse(&circle).unwrap_err();
        assert!(matches!(error, PrimerError::Cycle { cycle } if cycle.len() == LENGTH + 1));
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap().join().unwrap();
}
