package action

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/receipt"
)

func TestWhatNobodyMayWriteIsToldAsWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	w.refuse = fmt.Errorf("%w: Repository was archived so is read-only", ErrReadOnly)
	s.at(map[int]func(*receipt.Predicate){1: same, 5: same, 9: concluded("success", "Live")})
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log := w.out.String(); strings.Count(log, "::notice::the check run is not written: GitHub takes nothing there: Repository was archived") != 1 || strings.Contains(log, "give the job") {
		t.Errorf("got\n%s\nwant one notice of the archive, and none of permissions", log)
	}
}

func TestTheVerdictIsTriedAgainForAMinute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		refuse  error
		until   int // second of waiting
		written bool
		ends    time.Duration // of waiting, at most
	}{
		{"a GitHub that comes back", errors.New("502"), 40, true, time.Minute},
		{"a GitHub that is away", errors.New("502"), 1000, false, 70 * time.Second},
		{"a rate limit that ends soon", &LaterError{30 * time.Second, errors.New("slow down")}, 32, true, time.Minute},
		{"a rate limit of an hour", &LaterError{time.Hour, errors.New("slow down")}, 1000, false, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := newSpeaker(t, w)
			start, now := w.now, time.Duration(0)
			s.at(map[int]func(*receipt.Predicate){1: same, 3: concluded("success", "Live")})
			speak := w.sleeping
			w.sleeping = func(slept time.Duration) {
				if now = slept; slept >= 3*time.Second {
					w.refuse = c.refuse
				}
				if slept >= time.Duration(c.until)*time.Second {
					w.refuse = nil
				}
				speak(slept)
			}
			if err := w.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			last := w.wrote[len(w.wrote)-1]
			told := strings.Contains(w.out.String(), "::warning::the check on the commit is out of date") && strings.Contains(w.read(t, "GITHUB_STEP_SUMMARY"), "The check on the commit is out of date")
			if strings.Contains(last, "completedsuccess") != c.written || told == c.written {
				t.Errorf("got %q at last, told out of date: %t, want written: %t\n%s", last, told, c.written, w.out)
			}
			if took := w.now.Sub(start); took > c.ends {
				t.Errorf("it took %s (the last wait ended at %s), want %s at most", took, now, c.ends)
			}
		})
	}
}

func TestOneWriteInSomeSecondsAndTheLastOneAlways(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	says := map[int]func(*receipt.Predicate){10: concluded("success", "Live")}
	for second := 1; second < 10; second++ {
		says[second] = func(p *receipt.Predicate) { p.Check.Title = fmt.Sprint("phase ", second) }
	}
	s.at(says)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, line := range w.wrote {
		titles = append(titles, line[strings.LastIndex(line, ": ")+2:])
	}
	if diff := cmp.Diff([]string{"phase 1", "phase 4", "phase 7", "Live"}, titles); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}

func TestTheCheckAndTheCommentStayInTheirPlaces(t *testing.T) {
	t.Parallel()
	const head = "fedcba9876543210fedcba9876543210fedcba98"
	for _, c := range []struct {
		name   string
		change func(*receipt.Predicate)
		want   []string
	}{
		{"on the head commit and the pull request", same, []string{
			"check 0 on fedcba9 of acme/shop: inhaul / pr-7: completedsuccess: Live",
			"comment 0 on acme/shop#7: <!-- inhaul: preview shop --> live",
		}},
		{"under one of its own names, of its own pull request", func(p *receipt.Predicate) { p.Check.Name, p.Comment.PullRequest = "ci / tests", 8 }, []string{
			"check 0 on fedcba9 of acme/shop: inhaul / pr-7: completedsuccess: Live",
		}},
		{"in its own comment", func(p *receipt.Predicate) {
			p.Comment.Marker, p.Comment.Body = "<!-- lint -->", "<!-- lint --> all well"
		}, []string{
			"check 0 on fedcba9 of acme/shop: inhaul / pr-7: completedsuccess: Live",
		}},
		{"in its own repository", func(p *receipt.Predicate) { p.Comment.Repository = "acme/api" }, []string{
			"check 0 on fedcba9 of acme/shop: inhaul / pr-7: completedsuccess: Live",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := newSpeaker(t, w)
			payload := `{"action":"opened","repository":{"id":42},"pull_request":{"number":7,"state":"open","updated_at":"2026-11-22T12:00:00Z","head":{"sha":"` + head + `","repo":{"id":42}}}}`
			if err := os.WriteFile(w.env["GITHUB_EVENT_PATH"], []byte(payload), 0o600); err != nil {
				t.Fatal(err)
			}
			with(w.env, "GITHUB_EVENT_NAME", "pull_request", "GITHUB_REF", "refs/pull/7/merge")
			s.at(map[int]func(*receipt.Predicate){2: func(p *receipt.Predicate) {
				concluded("success", "Live")(p)
				p.Comment = &receipt.Comment{Repository: "acme/shop", PullRequest: 7, Marker: "<!-- inhaul: preview shop -->", Body: "<!-- inhaul: preview shop --> live"}
				c.change(p)
			}})
			if err := w.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, w.wrote); diff != "" {
				t.Errorf("got +, want -\n%s", diff)
			}
		})
	}
}
