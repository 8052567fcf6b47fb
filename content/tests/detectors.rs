//! Floors under the table of `docs/content.md`: no detector may become worse than this unseen.

mod corpus;

#[test]
fn every_detector_is_right_often_enough() {
    for (kind, score) in corpus::measure(300, 42) {
        let (precision, recall) = (score.precision(), score.recall());
        assert!(precision >= 0.95, "{kind}: precision {precision:.3}: {:#?}", score.wrong);
        assert!(recall >= 0.95, "{kind}: recall {recall:.3}: {:#?}", score.wrong);
    }
}
