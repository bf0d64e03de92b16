package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	previewSettle = 4 * time.Minute // the longest pause between two tries of the agent is a minute
	killEvery     = 4 * time.Second // at most
)

// previewRow is how a mode went.
type previewRow struct {
	mode            previewMode
	pulls           int
	asked, dropped  int
	kills           int
	expected        int
	many, missing   []string
	eithers         int
	seeds           seedCount
	changed         []string // Secrets
	duration, swept time.Duration
}

// TestPreviews lets pull requests come and go at random, and loses events, or kills
// the agent: after the sweep there is a preview for exactly those that are to have
// one, each seeded once, and no credentials have changed.
func TestPreviews(t *testing.T) {
	pulls := size("INHAUL_PREVIEWS")
	if pulls == 0 {
		t.Skip("INHAUL_PREVIEWS is not set; `make previews` does that")
	}
	seed := seedOf(t)
	modes := []previewMode{allEvents, halfEvents, closeEvents, killedAgent}
	rows := make([]previewRow, len(modes))
	play := func(t *testing.T, i int) {
		t.Helper()
		rows[i] = playPreviews(t, rand.New(rand.NewPCG(seed, uint64(i))), modes[i], pulls, fmt.Sprintf("pv%d", i+1))
		for _, problem := range rows[i].problems() {
			t.Errorf("seed %d: %s", seed, problem)
		}
	}
	t.Run("events", func(t *testing.T) { // side by side: the sweep leaves alone for a while what was just made
		for i, mode := range modes[:len(modes)-1] {
			t.Run(string(mode), func(t *testing.T) {
				t.Parallel()
				play(t, i)
			})
		}
	})
	t.Run(string(killedAgent), func(t *testing.T) { play(t, len(modes)-1) }) // alone: it would be everybody's agent
	t.Logf("seed %d\n%s", seed, previewTable(rows))
}

// playPreviews lets a mode happen to an app of that name.
func playPreviews(t *testing.T, random *rand.Rand, mode previewMode, pulls int, name string) previewRow {
	t.Helper()
	s := newStory(random, mode, pulls)
	pt := newPreviewTeam(t, name, nil)
	w := watchPreviews(t, pt)
	row := previewRow{mode: mode, pulls: pulls}
	row.asked, row.dropped = s.events()
	stop := func() int { return 0 }
	if mode == killedAgent {
		stop = pt.killAtRandom(t, rand.New(rand.NewPCG(random.Uint64(), 0)))
	}
	began := time.Now()
	digests, err := pt.play(t.Context(), s, rand.New(rand.NewPCG(random.Uint64(), 0)))
	if err != nil {
		t.Fatalf("%s: %v", mode, err)
	}
	if mode == killedAgent { // while it cleans up too
		time.Sleep(2 * killEvery)
	}
	row.kills = stop()
	played := time.Now()
	pt.settle(t, s, digests, &row)
	row.swept, row.duration = time.Since(played), time.Since(began)
	row.seeds, row.changed = w.countSeeds(), w.changedSecrets()
	if !pt.has("seed") {
		row.seeds.none = 0
	}
	return row
}

// settle waits until there is what has to be, and still is after two more sweeps.
func (pt *previewTeam) settle(t *testing.T, s story, digests map[int]string, row *previewRow) {
	t.Helper()
	sweep, err := time.ParseDuration(os.Getenv("INHAUL_SWEEP_INTERVAL"))
	if err != nil {
		t.Fatalf("INHAUL_SWEEP_INTERVAL is %q, want that of the agent", os.Getenv("INHAUL_SWEEP_INTERVAL"))
	}
	held := time.Time{} // since when all is right
	for deadline := time.Now().Add(previewSettle + 2*sweep); ; time.Sleep(settlePause) {
		if err := pt.compare(t.Context(), s, digests, row); err != nil {
			t.Fatalf("%s: %v", row.mode, err)
		}
		switch {
		case len(row.many)+len(row.missing) > 0:
			held = time.Time{}
		case held.IsZero():
			held = time.Now()
		case time.Since(held) > 2*sweep:
			return
		}
		if time.Now().After(deadline) {
			return
		}
	}
}

// compare notes which previews are there and should not be, and which are not, or do
// not run what was asked for last.
func (pt *previewTeam) compare(ctx context.Context, s story, digests map[int]string, row *previewRow) error {
	now, err := pt.there(ctx)
	if err != nil {
		return err
	}
	row.expected, row.many, row.missing, row.eithers = 0, nil, nil, 0
	for i, p := range s.pulls {
		name := pt.namespace(p)
		is := now[name]
		delete(now, name)
		fate, newest := s.expect(i)
		switch fate {
		case gone:
			if is {
				row.many = append(row.many, name)
			}
		case either:
			row.eithers++
		case there:
			row.expected++
			why := "there is no namespace"
			if is {
				if why, err = pt.lacks(ctx, name, digests[newest]); err != nil {
					return err
				}
			}
			if why != "" {
				row.missing = append(row.missing, fmt.Sprintf("%s (%s)", name, why))
			}
		}
	}
	for name := range now { // of no pull request at all
		row.many = append(row.many, name)
	}
	return nil
}

// lacks says why the newest release in a namespace is not that of an intent, live.
func (pt *previewTeam) lacks(ctx context.Context, namespace, digest string) (string, error) {
	list, err := pt.client.Resource(releaseResource).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	newest := release{}
	for _, o := range list.Items {
		r := release{}
		if err := decode(o.Object, &r); err != nil {
			return "", err
		}
		if r.Spec.Number > newest.Spec.Number {
			newest = r
		}
	}
	switch {
	case newest.Spec.Intent != digest:
		return fmt.Sprintf("its newest release, %d, is of another intent", newest.Spec.Number), nil
	case newest.Status.Phase != "Succeeded":
		return fmt.Sprintf("release %d is %s: %s", newest.Spec.Number, newest.Status.Phase, newest.Status.Message), nil
	}
	return "", nil
}

// previewPoints are where the agent dies: ports of previews, with how often they are
// passed at most before it does.
func previewPoints() map[string]int {
	return map[string]int{
		"KeepPreview": 4, "ForgetPreview": 1, "Preview": 8, "DeleteNamespace": 3, "CreateRelease": 2, "UpdateRelease": 8, "Apply": 2, "Write": 20,
		"ShowComment": 2, "ShowDeployment": 2, "OpenPullRequests": 1, "StartDatabases": 2, "StartTask": 2,
	}
}

// killAtRandom kills the agent again and again until the result is called, which says
// how often.
func (pt *previewTeam) killAtRandom(t *testing.T, dice *rand.Rand) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	count := make(chan int, 1)
	folder := os.Getenv("INHAUL_CHAOS_DIR")
	go func() {
		kills := 0
		defer func() { count <- kills }()
		points := previewPoints()
		names := slices.Sorted(func(yield func(string) bool) {
			for name := range points {
				if !yield(name) {
					return
				}
			}
		})
		for {
			wait := time.Duration(dice.Int64N(int64(killEvery)))
			name, when := names[dice.IntN(len(names))], []string{"before", "after"}[dice.IntN(2)]
			file := filepath.Join(folder, "kill")
			armed := folder != "" && dice.IntN(3) > 0
			if armed && replaceFile(file, fmt.Sprintf("%d %s:%s %d", dice.Uint64(), name, when, 1+dice.IntN(points[name]))) != nil {
				return
			}
			select {
			case <-time.After(wait + time.Second):
			case <-ctx.Done():
			}
			if armed {
				if err := os.Remove(file); errors.Is(err, fs.ErrNotExist) { // it died, and took it along
					kills++
				}
			} else if _, err := pt.run(context.WithoutCancel(ctx), "agent", "kill", "--which", "all", "--signal", "KILL"); err == nil {
				kills++
			}
			if ctx.Err() != nil {
				return
			}
		}
	}()
	return func() int { cancel(); return <-count }
}

// problems are what is wrong with how a mode went.
func (r previewRow) problems() (found []string) {
	for what, names := range map[string][]string{"namespaces too many": r.many, "namespaces missing": r.missing, "credentials that changed": r.changed} {
		if len(names) > 0 {
			found = append(found, fmt.Sprintf("%d %s: %s", len(names), what, strings.Join(names, ", ")))
		}
	}
	if r.seeds.more+r.seeds.none > 0 {
		found = append(found, fmt.Sprintf("of %d previews the seed ran more than once, of %d that went live never", r.seeds.more, r.seeds.none))
	}
	if r.mode == killedAgent && r.kills == 0 {
		found = append(found, "the agent was never killed")
	}
	return found
}

func previewTable(rows []previewRow) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-26s %5s %7s %8s %6s | %8s %9s %8s %7s | %-21s %8s | %9s %8s\n", "mode", "pulls", "events", "dropped", "kills",
		"expected", "too many", "missing", "either", "seeded once/more/none", "changed", "to settle", "duration")
	for _, r := range rows {
		fmt.Fprintf(&b, "%-26s %5d %7d %8d %6d | %8d %9d %8d %7d | %-21s %8d | %9s %8s\n", r.mode, r.pulls, r.asked, r.dropped, r.kills,
			r.expected, len(r.many), len(r.missing), r.eithers, fmt.Sprintf("%d/%d/%d", r.seeds.once, r.seeds.more, r.seeds.none), len(r.changed),
			r.swept.Round(100*time.Millisecond), r.duration.Round(time.Second))
	}
	return b.String()
}
