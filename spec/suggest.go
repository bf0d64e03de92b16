package spec

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean returns ` (did you mean "…"?)` with the closest of known, or
// nothing if none is close enough to be a slip of the finger.
func didYouMean(word string, known []string) string {
	best, distance := "", 3
	if len(word) > 64 {
		return "" // no slip, and the distance costs the product of the lengths
	}
	for _, k := range known {
		if strings.EqualFold(word, k) {
			return fmt.Sprintf(" (did you mean %q?)", k)
		}
		// One slip per three letters: "env" is not meant by "run".
		if d := editDistance(word, k); d < distance && d*3 <= max(len(word), len(k)) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// editDistance is the number of insertions, deletions, substitutions and swaps
// of neighbours between a and b (optimal string alignment).
func editDistance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitution := last[j-1]
			if a[i-1] != b[j-1] {
				substitution++
			}
			row[j] = slices.Min([]int{last[j] + 1, row[j-1] + 1, substitution})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
