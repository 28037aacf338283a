//! Tests of [`matrix`](super).

use super::*;

fn refused(text: &str) -> String {
    Matrix::parse("t.csv", text).unwrap_err().to_string()
}

fn quantiles(text: &str) -> Vec<(f64, Span)> {
    Matrix::parse("t.csv", text).unwrap().row("a", "b").unwrap().quantiles.clone()
}

fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

#[test]
fn a_plain_table_keeps_what_it_says_and_nothing_else() {
    // Asymmetric, far from metric, and without one direction of (b, c).
    let text = "from,to,rtt_ms\na,b,1.5\nb,a,2\na,c,900\nc,a,900\nb,c,0\n";
    let matrix = Matrix::parse("t.csv", text).unwrap();
    assert_eq!(matrix.regions(), ["a", "b", "c"]);
    assert_eq!(matrix.row("a", "b").unwrap().rtt, Span(1_500_000));
    assert_eq!(matrix.row("b", "a").unwrap().rtt, ms(2));
    assert_eq!(matrix.row("b", "c").unwrap().rtt, Span::ZERO);
    assert_eq!(matrix.row("c", "b"), None);
    assert_eq!(matrix.row("a", "a"), None);
    assert_eq!(matrix.rows().count(), 5);
}

#[test]
fn comments_blank_lines_quotes_and_windows_endings_are_read_over() {
    let text =
        "\u{feff}# mine\r\n\r\n\"from\",\"to\",\"rtt_ms\"\r\n\"a\",\"b\", 3 \r\n\r\n# end\r\n";
    assert_eq!(quantiles(text), [(0.5, ms(3))]);
    assert!(refused("# c\n\nfrom,to,rtt_ms\n\na,b,x\n").starts_with("t.csv:5: rtt_ms = \"x\""));
}

#[test]
fn percentile_columns_may_stand_in_any_order() {
    let text = "from,to,rtt_ms,p90_ms,avg_ms,p99.5_ms,p10_ms,min_ms\na,b,5,8,77,9,4,1\n";
    assert_eq!(
        quantiles(text),
        [(0.0, ms(1)), (0.1, ms(4)), (0.5, ms(5)), (0.9, ms(8)), (0.995, ms(9))]
    );
    let matrix = Matrix::parse("t.csv", text).unwrap();
    assert_eq!(matrix.columns().join(" "), "min_ms p10_ms rtt_ms p90_ms p99.5_ms");
    assert_eq!(matrix.unused(), ["avg_ms"]);
}

#[test]
fn the_maximum_is_checked_and_never_drawn() {
    assert_eq!(quantiles("from,to,rtt_ms,max_ms\na,b,5,70\n"), [(0.5, ms(5))]);
    assert!(refused("from,to,rtt_ms,max_ms\na,b,5,4\n").contains("max_ms = 4 is less than"));
}

#[test]
fn a_median_column_stands_before_rtt_ms_where_it_is_not_empty() {
    let text = "from,to,rtt_ms,p50_ms,p90_ms\na,b,9,5,8\n";
    assert_eq!(quantiles(text), [(0.5, ms(5)), (0.9, ms(8))]);
    assert_eq!(Matrix::parse("t.csv", text).unwrap().row("a", "b").unwrap().rtt, ms(9));
    let text = "from,to,rtt_ms,p50_ms,p90_ms\na,b,7,,8\n";
    assert_eq!(quantiles(text), [(0.5, ms(7)), (0.9, ms(8))]);
}

#[test]
fn an_empty_percentile_is_not_measured_rather_than_zero() {
    assert_eq!(quantiles("from,to,rtt_ms,p10_ms,p90_ms\na,b,5,,\n"), [(0.5, ms(5))]);
}

#[test]
fn nonsense_is_refused_with_its_line() {
    let cases = [
        ("", "t.csv:1: the file has no row"),
        ("from,to,rtt_ms\n", "t.csv:1: the file has no row"),
        ("a,b,3\n", "t.csv:1: the header begins with \"a,b,3\": it must begin with"),
        ("from,to\na,b\n", "t.csv:1: the header begins with \"from,to\""),
        ("from,to,rtt_ms\na,b\n", "t.csv:2: the row has 2 fields where the header has 3"),
        ("from,to,rtt_ms\na,b,1,2\n", "t.csv:2: the row has 4 fields"),
        (
            "from,to,rtt_ms\na,,1\n",
            "t.csv:2: the region \"\" in column \"to\": a region needs a name",
        ),
        (
            "from,to,rtt_ms\n=1+1,b,1\n",
            "t.csv:2: the region \"=1+1\" in column \"from\": it begins",
        ),
        ("from,to,rtt_ms\n\"a,b,1\n", "t.csv:2: a quote is not closed"),
        ("from,to,rtt_ms,rtt_ms\na,b,1,1\n", "t.csv:1: column \"rtt_ms\" repeats"),
        ("from,to,rtt_ms,avg_ms\na,b,1,x\n", "t.csv:2: avg_ms = \"x\""),
        ("from,to,rtt_ms\na,b,1\na,c,\n", "t.csv:3: rtt_ms = \"\" is no round trip"),
        ("from,to,rtt_ms\na,b,-1\n", "t.csv:2: rtt_ms = \"-1\""),
        ("from,to,rtt_ms\na,b,NaN\n", "t.csv:2: rtt_ms = \"NaN\""),
        ("from,to,rtt_ms\na,b,inf\n", "t.csv:2: rtt_ms = \"inf\""),
        ("from,to,rtt_ms\na,b,64000000\n", "t.csv:2: rtt_ms = \"64000000\""),
        ("from,to,rtt_ms,p90_ms\na,b,1,x\n", "t.csv:2: p90_ms = \"x\""),
        ("from,to,rtt_ms\na,b,1\nb,a,1\na,b,1\n", "t.csv:4: the row a -> b was given at line 2"),
        ("from,to,rtt_ms,p90_ms\na,b,9,8\n", "t.csv:2: p90_ms = 8 is less than rtt_ms = 9"),
        ("from,to,rtt_ms,p10_ms\na,b,9,10\n", "t.csv:2: rtt_ms = 9 is less than p10_ms = 10"),
        ("from,to,rtt_ms,p90_ms,p90_ms\na,b,1,2,3\n", "t.csv:1: column \"p90_ms\" repeats"),
        ("from,to,rtt_ms,p100_ms\na,b,1,2\n", "t.csv:1: column \"p100_ms\" is no percentile"),
        ("from,to,rtt_ms,p0_ms\na,b,1,0\n", "t.csv:1: column \"p0_ms\" is no percentile"),
    ];
    for (text, expected) in cases {
        assert!(refused(text).starts_with(expected), "{text:?}: {}", refused(text));
    }
}

/// A column that would be read over in silence is a percentile that its writer expects to count.
#[test]
fn an_unknown_column_is_refused_with_the_known_ones() {
    for (column, near) in [
        ("p99", "did you mean p99_ms?"),
        ("P99_ms", "did you mean p99_ms?"),
        ("p50", "did you mean p50_ms?"),
        ("Max_ms", "did you mean max_ms?"),
        ("stddev_ms", "known are"),
        ("p99_us", "known are"),
    ] {
        let message = refused(&format!("from,to,rtt_ms,{column}\na,b,1,2\n"));
        assert!(message.starts_with(&format!("t.csv:1: column {column:?} is")), "{message}");
        for phrase in [near, "min_ms, max_ms", "such as p90_ms", "`flexpaxos profiles import"] {
            assert!(message.contains(phrase), "{phrase} in {message}");
        }
    }
    assert!(!refused("from,to,rtt_ms,p99_us\na,b,1,2\n").contains("did you mean"));
}

#[test]
fn what_is_written_is_an_equal_table() {
    for text in [
        "from,to,rtt_ms\na,b,1.5\nb,a,0\na,a,0.000001\n",
        "from,to,rtt_ms,mdev_ms,min_ms,p90_ms,max_ms\na,b,5,3,,8,\nb,a,5.125,,1,,70\n",
        "from,to,rtt_ms,p50_ms,p99.9_ms\na,b,9,5,8\nb,a,7,,8\n",
        "from,to,rtt_ms\n\"a, b\",NA,1\nNA,\"a, b\",2\n\"#x\",\"q\"\"q\",3\n",
        "\u{feff}from, to, rtt_ms\r\"a\" , b, 1e3\r",
    ] {
        let table = Matrix::parse("t.csv", text).unwrap();
        let again = Matrix::parse("t.csv", &table.to_csv(None)).unwrap();
        assert_eq!(again, table, "{text}\n{}", table.to_csv(None));
    }
    let table = Matrix::parse("t.csv", "from,to,rtt_ms\na,b,1\nb,a,2\n").unwrap();
    assert_eq!(table.to_csv(Some("b")), "from,to,rtt_ms\nb,a,2\n");
}

/// A control: three digits, as the profiles were once copied, are another table.
#[test]
fn a_rounded_copy_is_another_table() {
    let table = Matrix::parse("t.csv", "from,to,rtt_ms,p90_ms\na,b,1.2345,2\n").unwrap();
    let rounded = Matrix::parse("t.csv", "from,to,rtt_ms\na,b,1.234\n").unwrap();
    assert_ne!(table, rounded);
    assert_eq!(table.to_csv(None), "from,to,rtt_ms,p90_ms\na,b,1.2345,2\n");
}
