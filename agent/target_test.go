package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/inhaul/inhaul/intent"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Target{
		"previous":                    {Previous: true},
		"7":                           {Number: 7},
		"999999":                      {Number: 999999},
		"1234567":                     {Commit: "1234567"}, // as many digits as git shows
		"9f2c1ab":                     {Commit: "9f2c1ab"},
		strings.Repeat("9f2c1ab0", 5): {Commit: strings.Repeat("9f2c1ab0", 5)},
	} {
		got, err := ParseTarget(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v (%v), want %+v", text, got, err, want)
		}
		if again, err := ParseTarget(got.String()); err != nil || again != want {
			t.Errorf("%q: String is %q, which is %+v (%v)", text, got, again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "000000", " 7", "7\n", "Previous", "previous\n", "abc", "9f2c1a", "9F2C1AB", "main", strings.Repeat("a", 41), "release-7"} {
		if got, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), "previous, a release number") {
			t.Errorf("%q: got %+v (%v), want an error that says what is wanted", text, got, err)
		}
	}
}

// past is a line's history in one word each: v1, v2 … are versions; "=N" brings
// release N back, "~N" is the run of release N again. Behind it "!" is a failure,
// "!!" one after which nothing was put back, "…" one that is under way.
func past(words string) History {
	var h History
	for i, word := range strings.Fields(words) {
		a := Admission{Number: i + 1, RunID: int64(100 + i), Reason: ReasonNewest, VerdictAt: minutes(i)}
		a.UnderWay, a.Left = strings.HasSuffix(word, "…"), strings.HasSuffix(word, "!!")
		a.Good = !a.UnderWay && !strings.HasSuffix(word, "!")
		what := strings.TrimRight(word, "…!")
		a.Commit = strings.Repeat(what[1:], 40/len(what[1:]))
		switch n := int(what[1] - '0'); what[0] {
		case '=':
			a.Reason, a.Restore, a.Commit = ReasonRollback, n, h.Admissions[n-1].Commit
		case '~':
			a.Reason, a.RunID, a.Commit = ReasonRollback, h.Admissions[n-1].RunID, h.Admissions[n-1].Commit
		}
		a.Image = "image of " + a.Commit
		h.Admissions = append(h.Admissions, a)
	}
	return h
}

func TestTarget(t *testing.T) {
	t.Parallel()
	previous := Target{Previous: true}
	for _, test := range []struct {
		name, past string
		target     Target
		want       int    // 0: refused
		says       string // the refusal
	}{
		{"a number", "v1 v2 v3", Target{Number: 1}, 1, ""},
		{"the number that serves", "v1 v2 v3", Target{Number: 3}, 3, ""},
		{"the number of a rollback", "v1 v2 =1 v3", Target{Number: 3}, 3, ""},
		{"a number that never was", "v1 v2", Target{Number: 9}, 0, "release 9 is not kept or never succeeded; name one that did (kubectl get releases): 2 (2222222), 1 (1111111)"},
		{"a number that failed", "v1 v2!", Target{Number: 2}, 0, "1 (1111111)"},
		{"a number under way", "v1 v2…", Target{Number: 2}, 0, "never succeeded"},

		{"previous of a failure that was left", "v1 v2 v3!!", previous, 2, ""},
		{"previous of a failed rollback that was left", "v1 v2 v3 =1!!", previous, 3, ""},
		{"previous of a failure before anything was good", "v1!!", previous, 0, "no release that is kept has succeeded"},

		{"a commit", "v1 v2 v3", Target{Commit: "1111111"}, 1, ""},
		{"the newest good release of a commit", "v1 v2 v1 v2 v1!", Target{Commit: strings.Repeat("1", 40)}, 3, ""},
		{"a commit that was brought back", "v1 v2 =1 v3", Target{Commit: "1111111"}, 3, ""},
		{"a commit that failed", "v1 v2!", Target{Commit: "2222222"}, 0, "no release that is kept and succeeded runs a commit that begins with 2222222; name one"},
		{"a beginning of two commits", "v12 v1212121213 v3", Target{Commit: "1212121"}, 0, "ambiguous: release 2 is of"},

		{"previous", "v1 v2 v3", previous, 2, ""},
		{"previous twice goes two back", "v1 v2 v3 =2", previous, 1, ""},
		{"previous thrice ends", "v1 v2 v3 =2 =1", previous, 0, "older than release 5 (1111111)"},
		{"previous of the first", "v1", previous, 0, "older than release 1"},
		{"previous of nothing", "", previous, 0, "has succeeded"},
		{"previous of failures", "v1! v2!", previous, 0, "has succeeded"},
		{"previous skips failures", "v1 v2! v3", previous, 1, ""},
		{"previous after a failure that was put back", "v1 v2 v3!", previous, 1, ""},
		{"previous skips redeploys", "v1 v2 v2 v2", previous, 1, ""},
		{"previous skips redeploys of what was brought back", "v1 v2 v2 v3 =3", previous, 1, ""},
		{"previous of what was deployed after a rollback", "v1 v2 =1 v3", previous, 3, ""},
		{"previous follows rollbacks to rollbacks", "v1 v2 v3 =2 v4 =4", previous, 1, ""},
		{"previous follows a re-run", "v1 v2 v3 ~2", previous, 1, ""},

		{"previous during a deploy is what serves", "v1 v2 v3…", previous, 2, ""},
		{"previous during a deploy after a rollback is what serves", "v1 v2 =1 v3…", previous, 3, ""},
		{"previous during the first deploy", "v1…", previous, 0, "older than release 1"},
		{"previous during a redeploy of what serves", "v1 v2 v2…", previous, 1, ""},
		{"previous during a rollback is the same", "v1 v2 v3 =2…", previous, 2, ""},
		{"previous during a re-run is the same", "v1 v2 v3 ~1…", previous, 1, ""},

		{"previous asked while the deploy was under way", "v1 v2 v3", Target{Previous: true, At: minutes(1)}, 2, ""},
		{"previous asked before the deploy had failed", "v1 v2 v3!", Target{Previous: true, At: minutes(1)}, 2, ""},
		{"previous asked before the other rollback was done", "v1 v2 v3 =2", Target{Previous: true, At: minutes(2)}, 2, ""},
		{"previous asked after the other rollback was done", "v1 v2 v3 =2", Target{Previous: true, At: minutes(3).Add(time.Second)}, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := past(test.past).target(test.target)
			if got.Number != test.want || (err != nil) != (test.want == 0) {
				t.Errorf("got release %d (%v), want %d", got.Number, err, test.want)
			}
			if err != nil && (test.says == "" || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %q, want it to say %q", err, test.says)
			}
		})
	}
}

// TestPreviousWalksToTheEnd asks for the previous release until there is none:
// every version is live once, from the newest to the oldest.
func TestPreviousWalksToTheEnd(t *testing.T) {
	t.Parallel()
	h := past("v1 v2 v2 v3! v4 =2 v5")
	var live []string
	for {
		a, err := h.target(Target{Previous: true})
		if err != nil {
			break
		}
		live = append(live, a.Commit[:2])
		next := a
		next.Number, next.Reason, next.Restore = len(h.Admissions)+1, ReasonRollback, a.Number
		h.Admissions = append(h.Admissions, next)
	}
	if diff := cmp.Diff([]string{"22", "11"}, live); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
}

// TestPreviousProperties has the previous release asked for again and again, in any
// history that forgets: what comes back is good, is another version each time, and
// is older each time, so that it ends.
func TestPreviousProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var words []string
		for n := range rapid.IntRange(1, 9).Draw(rt, "releases") {
			word := rapid.SampledFrom([]string{"v1", "v2", "v3", "v1!", "v4!"}).Draw(rt, "deploy")
			if n > 0 && rapid.Bool().Draw(rt, "rollback") {
				word = fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"=", "~"}).Draw(rt, "by"), rapid.IntRange(1, n).Draw(rt, "of"))
			}
			words = append(words, word)
		}
		h := past(strings.Join(words, " "))
		h.Admissions = h.Admissions[rapid.IntRange(0, len(words)-1).Draw(rt, "trimmed"):]
		for range 2 * len(words) {
			serving, _ := h.newestGood()
			back, err := h.target(Target{Previous: true})
			if err != nil {
				return
			}
			if !back.Good || back.Commit == serving.Commit || h.origin(back) >= h.origin(serving) {
				rt.Fatalf("%s: got release %d, which came with %d, after %d, which came with %d", words, back.Number, h.origin(back), serving.Number, h.origin(serving))
			}
			back.Number, back.Reason, back.Restore = h.Admissions[len(h.Admissions)-1].Number+1, ReasonRollback, back.Number
			h.Admissions = append(h.Admissions, back)
		}
		rt.Fatalf("%s: previous never ends", words)
	})
}

// TestPreviousOfWhatWasTrimmed has a rollback whose own release is not kept.
func TestPreviousOfWhatWasTrimmed(t *testing.T) {
	t.Parallel()
	h := past("v1 v2 v3 v4 =2")
	h.Admissions = h.Admissions[2:]
	if got, err := h.target(Target{Previous: true}); err == nil {
		t.Errorf("got release %d, which is newer than what serves; want a refusal", got.Number)
	}
}

// TestWhatAReleaseBringsBack is asked of releases by those who keep what was in
// them, and of their admissions by ordering.
func TestWhatAReleaseBringsBack(t *testing.T) {
	t.Parallel()
	at := func(number int, run int64, phase Phase) Release {
		return Release{Number: number, Source: intent.Source{RunID: run}, Status: Status{Phase: phase}}
	}
	byNumber, again, redeploy := at(5, 9, Pending), at(5, 7, Pending), at(5, 7, Pending)
	byNumber.Reason, byNumber.Restore = ReasonRollback, 2
	again.Reason, redeploy.Reason = ReasonRollback, ReasonRedeploy
	for _, test := range []struct {
		name   string
		r, old Release
		want   bool
	}{
		{"the one that it names", byNumber, at(2, 7, Succeeded), true},
		{"another one", byNumber, at(3, 7, Succeeded), false},
		{"another one of its own run", byNumber, at(3, 9, Succeeded), false},
		{"of the run that is repeated", again, at(2, 7, Succeeded), true},
		{"of that run, but it failed", again, at(2, 7, RolledBack), false},
		{"of that run, but newer", again, at(6, 7, Succeeded), false},
		{"of another run", again, at(2, 8, Succeeded), false},
		{"a redeploy is news", redeploy, at(2, 7, Succeeded), false},
	} {
		if got := test.r.BringsBack(test.old); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}
