package e2e

import "testing"

// TestWhatAWatchCounts tells two previews of one pull request apart, by their
// namespaces.
func TestWhatAWatchCounts(t *testing.T) {
	t.Parallel()
	first, second := seen{"a-pr-1", "first", 10}, seen{"a-pr-1", "second", 20}
	in := func(uid string, version uint64) seen { return seen{"a-pr-1", uid, version} }
	for name, row := range map[string]struct {
		seeds   []seen
		pods    map[string]map[string]bool
		secrets []secretVersion
		want    seedCount
		changed int
	}{
		"once in each":      {[]seen{in("j1", 12), in("j2", 22)}, map[string]map[string]bool{"j1": {"p1": true}, "j2": {"p2": true}}, nil, seedCount{once: 2}, 0},
		"two pods of a Job": {[]seen{in("j1", 12), in("j2", 22)}, map[string]map[string]bool{"j1": {"p1": true, "p3": true}, "j2": {"p2": true}}, nil, seedCount{once: 1, more: 1}, 0},
		"two Jobs in one":   {[]seen{in("j1", 12), in("j2", 14)}, map[string]map[string]bool{"j1": {"p1": true}, "j2": {"p2": true}}, nil, seedCount{more: 1, none: 1}, 0},
		"never in the last": {[]seen{in("j1", 12)}, map[string]map[string]bool{"j1": {"p1": true}}, nil, seedCount{once: 1, none: 1}, 0},
		"other credentials in each": {[]seen{in("j1", 12), in("j2", 22)}, map[string]map[string]bool{"j1": {"p1": true}, "j2": {"p2": true}}, []secretVersion{
			{in("s1", 11), "db", "x"}, {in("s2", 21), "db", "y"},
		}, seedCount{once: 2}, 0},
		"credentials that change": {[]seen{in("j1", 12), in("j2", 22)}, map[string]map[string]bool{"j1": {"p1": true}, "j2": {"p2": true}}, []secretVersion{
			{in("s1", 11), "db", "x"}, {in("s2", 15), "db", "y"},
		}, seedCount{once: 2}, 1},
	} {
		w := &previewWatch{
			namespaces: map[string]seen{"first": first, "second": second}, seeds: map[string]seen{}, pods: row.pods, secrets: row.secrets,
			succeeded: map[string]seen{"r1": in("r1", 13), "r2": in("r2", 23)},
		}
		for _, s := range row.seeds {
			w.seeds[s.uid] = s
		}
		if got, changed := w.countSeeds(), w.changedSecrets(); got != row.want || len(changed) != row.changed {
			t.Errorf("%s: got %+v and %v changed, want %+v and %d", name, got, changed, row.want, row.changed)
		}
	}
}
