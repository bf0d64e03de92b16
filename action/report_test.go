package action

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/receipt"
)

func TestWhatNobodyMayWriteIsToldAsWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newSpeaker(t, w)
	w.refuse = fmt.Errorf("%w: Repository was archived so is read-only.", ErrReadOnly)
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
