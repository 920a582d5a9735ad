//! The text form: what it means, how it is printed, and what is wrong with a text that is none.

use arenagrad_graph::symbolic::parse;

#[test]
fn texts_are_printed_as_they_were_read() {
    for text in ["-x^2", "2^(-x)", "a^b^c", "(a^b)^c", "a - (b - c)", "a/(b*c)", "tan(x)", "step(x)", "pi*x", "(-x)^2"]
    {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    for t in ["x^y", "relu(x)*x", "(x+y)*z"] {
        println!("{}", parse(t).unwrap().diff("x"));
    }
    for t in ["2x", "sin", "x+", "(x", "x)", "", "foo(x)", "1..2", "x # y", "1e999"] {
        println!("{}", parse(t).unwrap_err());
    }
}
