package e2e

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// tell makes a story of one pull request: "open", "push", "close", "merge", "reopen",
// "+no" and "-no" for the label no-preview, "+keep"; with "!" before what was dropped.
func tell(words string) story {
	s := story{pulls: []pullRequest{{number: 1}}}
	ops := map[string]op{
		"open": {action: "opened"}, "push": {action: "synchronize"}, "close": {action: "closed"}, "merge": {action: "closed", merged: true},
		"reopen": {action: "reopened"}, "+no": {action: "labeled", label: noPreviewLabel}, "-no": {action: "unlabeled", label: noPreviewLabel},
		"+keep": {action: "labeled", label: keepLabel}, "fork": {action: "opened"},
	}
	var c pullState
	for word := range strings.FieldsSeq(words) {
		name := strings.TrimPrefix(word, "!")
		o := ops[name]
		s.pulls[0].fork = s.pulls[0].fork || name == "fork"
		c = c.after(o)
		o.labels, o.asks, o.dropped = c.labels, asksOf(s.pulls[0], o, c), name != word
		s.ops = append(s.ops, o)
	}
	return s
}

func TestWhatHasToBecomeOfAPreview(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]struct {
		fate   fate
		newest int
	}{
		"open":                        {there, 0},
		"open push":                   {there, 1},
		"open !push":                  {there, 0},
		"!open":                       {gone, -1},
		"!open push":                  {there, 1},
		"open close":                  {gone, -1},
		"open !close":                 {gone, -1},
		"open !merge":                 {gone, -1},
		"open close reopen":           {there, 2},
		"open close !reopen":          {gone, -1},
		"open !close reopen":          {there, 2},
		"open !close !reopen":         {either, 0},
		"open !close !reopen push":    {there, 3},
		"open !close !reopen close":   {gone, -1},
		"open +no":                    {gone, -1},
		"open !+no":                   {gone, -1},
		"open !+no push":              {gone, -1},
		"open +no push":               {gone, -1},
		"open +no -no":                {there, 2},
		"open +no !-no":               {gone, -1},
		"open !+no !-no":              {either, 0},
		"open !+no !-no push":         {there, 3},
		"open +keep !close":           {gone, -1},
		"open +keep":                  {there, 0},
		"fork push":                   {gone, -1},
		"open push close reopen push": {there, 4},
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			if fate, newest := tell(words).expect(0); fate != want.fate || newest != want.newest {
				t.Errorf("got %s by op %d, want %s by op %d", fate, newest, want.fate, want.newest)
			}
		})
	}
}

func TestAStoryIsWhatGitHubCouldTell(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		for _, mode := range []previewMode{allEvents, halfEvents, closeEvents, killedAgent} {
			s := newStory(rand.New(rand.NewPCG(seed, 0)), mode, 30)
			now := make([]pullState, len(s.pulls))
			for i, o := range s.ops {
				before := now[o.pull]
				if before.merged || before.opened == (o.action == "opened") || before.opened && before.open == (o.action == "reopened") {
					t.Fatalf("seed %d, op %d: %s of %+v", seed, i, o.action, before)
				}
				if has := slices.Contains(before.labels, o.label); o.action == "labeled" && has || o.action == "unlabeled" && !has {
					t.Fatalf("seed %d, op %d: %s %s of %+v", seed, i, o.action, o.label, before)
				}
				now[o.pull] = before.after(o)
			}
			for i, c := range now {
				fate, newest := s.expect(i)
				if !c.opened {
					t.Errorf("seed %d: pull request %d was never opened", seed, i+1)
				}
				if fate != gone && (!c.open || s.ops[newest].dropped || s.ops[newest].pull != i) {
					t.Errorf("seed %d: pull request %d: %s by %+v", seed, i+1, fate, s.ops[newest])
				}
				if fate == either && mode != halfEvents {
					t.Errorf("seed %d: %s: pull request %d: got %s, want a plain word", seed, mode, i+1, fate)
				}
			}
			asked, dropped := s.events()
			if (dropped == 0) != (mode == allEvents || mode == killedAgent) || dropped >= asked {
				t.Errorf("seed %d: %s: %d of %d events dropped", seed, mode, dropped, asked)
			}
		}
	}
}
