//! "Did you mean": the known word that a mistyped one is closest to.

/// The candidate closest to `word`, where few enough letters differ for it to be a slip.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let tolerated = (word.chars().count() / 3).clamp(1, 3);
    let distances = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    distances
        .filter(|(distance, _)| (1..=tolerated).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// The letters to insert, remove, replace or swap with their neighbour to turn `a` into `b` (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, expected) in [("", "abc", 3), ("siret", "siret", 0), ("siert", "siret", 1), ("listn", "listen", 1)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_closest_word_is_suggested_and_a_far_one_is_not() {
        let keys = ["listen", "prefix", "client_id", "client_secret"];
        assert_eq!(nearest("listn", keys), Some("listen"));
        assert_eq!(nearest("clientsecret", keys), Some("client_secret"));
        assert_eq!(nearest("client_ID", keys), None);
        assert_eq!(nearest("upstream", keys), None);
        assert_eq!(nearest("id", ["idp"]), Some("idp"));
    }
}
