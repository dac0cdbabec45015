//! What verification must detect, each case for every record of a log of 200 (R5.2, R8.1): reported
//! once, with the right number. Right is the record that was touched; of an exchange the first of the
//! two; of a removal at the end the first that is gone.

mod damage;
mod log;
mod signed;

use super::{AuditFinding, Report};
use log::{Log, RECORDS, Row, keys};

/// `test` for each number, on two threads.
fn each(numbers: impl IntoIterator<Item = usize>, test: impl Fn(usize) + Sync) {
    let (even, odd): (Vec<_>, Vec<_>) = numbers.into_iter().partition(|number| number % 2 == 0);
    std::thread::scope(|scope| {
        scope.spawn(|| odd.into_iter().for_each(&test));
        even.into_iter().for_each(&test);
    });
}

fn assert_found(report: &Report, expected: &[AuditFinding], what: &str) {
    assert_eq!(report.findings, expected, "{what}");
}

#[test]
fn an_untouched_log_is_good() {
    let log = Log::new();
    let report = log.audit();
    assert_found(&report, &[], "untouched");
    assert_eq!((report.records, report.rows), (200, 200));
    assert_eq!((report.confirmed, report.unchecked), (200, 0));
    assert_eq!((report.agreeing, report.outside), (7, 3));
    assert_eq!(report.key, Some(keys()[0].vkey()));
    let first_key = log.audit_with(vec![]);
    assert_eq!(first_key, report, "the first record names the key");
}

#[test]
fn of_a_log_without_rows_all_is_cut_off() {
    let mut log = Log::new();
    log.rows.clear();
    let source_name = "the signed head".to_owned();
    let (first, last) = (1, 200);
    let cut = AuditFinding::Cut {
        first,
        last,
        source_name,
    };
    assert_found(&log.audit(), std::slice::from_ref(&cut), "no rows");
    assert_found(&log.audit_with(vec![]), &[cut], "no rows, no key");
}

#[test]
fn findings_speak_of_records() {
    let said = |finding: AuditFinding| finding.to_string();
    let missing = said(AuditFinding::Missing { first: 3, last: 3 });
    assert_eq!(missing, "record 3 is missing: the records around are there");
    let rewritten = said(AuditFinding::Rewritten {
        after: 100,
        size: 150,
        source_name: "/mnt/paper".into(),
    });
    assert_eq!(
        rewritten,
        "records 101 to 150 are not those of the checkpoint of /mnt/paper: those up to 100 are, \
         and somebody wrote the log anew after them"
    );
    let inserted = said(AuditFinding::Inserted { after: 7, row: 8 });
    assert_eq!(
        inserted,
        "row 8, after record 7, was put in: it is no record of this log"
    );
}

/// Every row of `log` from `at` on with its column `by` further.
fn shift(rows: &mut [Row], by: i64) {
    for row in rows {
        row.seq += by;
    }
}
