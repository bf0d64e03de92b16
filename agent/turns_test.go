package agent

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs test with turns over job; failures counts what was told of them.
func bubble(t *testing.T, job func(context.Context, string) error, test func(turns *turns[string], failures *[]time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var failures []time.Duration
		all := newTurns(ctx, job, func(_ string, _ error, wait time.Duration) { failures = append(failures, wait) })
		test(all, &failures)
		cancel()
		all.wait()
	})
}

func TestTurnsOfOneKeyComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	runs, inside := 0, 0
	bubble(t, func(context.Context, string) error {
		if inside++; inside > 1 {
			t.Error("two turns of one key at once")
		}
		time.Sleep(time.Second)
		inside--
		runs++
		return nil
	}, func(all *turns[string], _ *[]time.Duration) {
		for range 5 { // all while the first one runs: they share one more turn
			all.wake("a", false)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if runs != 2 {
			t.Errorf("got %d turns, want 2", runs)
		}
		all.wake("a", false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if runs != 3 {
			t.Errorf("got %d turns after a later wake, want 3", runs)
		}
	})
}

func TestTurnsOfManyKeysComeAtOnce(t *testing.T) {
	t.Parallel()
	done := make(map[string]time.Time)
	var mu sync.Mutex
	bubble(t, func(_ context.Context, key string) error {
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		done[key] = time.Now()
		return nil
	}, func(all *turns[string], _ *[]time.Duration) {
		start := time.Now()
		for _, key := range []string{"a", "b", "c"} {
			all.wake(key, false)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, key := range []string{"a", "b", "c"} {
			if took := done[key].Sub(start); took != time.Second {
				t.Errorf("turn of %s: got done after %s, want all of them after 1s", key, took)
			}
		}
	})
}

func TestTurnsAreTriedAgainEverMoreSlowly(t *testing.T) {
	t.Parallel()
	runs := 0
	bubble(t, func(context.Context, string) error {
		if runs++; runs <= 12 {
			return errors.New("not yet")
		}
		return nil
	}, func(all *turns[string], failures *[]time.Duration) {
		all.wake("a", false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if runs != 13 || len(*failures) != 12 {
			t.Fatalf("got %d turns and %d failures told, want 13 and 12", runs, len(*failures))
		}
		want := firstRetry
		for i, wait := range *failures {
			if wait < want/2 || wait > want {
				t.Errorf("wait %d: got %s, want %s to %s", i, wait, want/2, want)
			}
			want = min(2*want, lastRetry)
		}
	})
}

func TestTurnsStartAnewAfterASuccess(t *testing.T) {
	t.Parallel()
	runs := 0
	bubble(t, func(context.Context, string) error {
		if runs++; runs == 5 {
			return nil
		}
		return errors.New("no")
	}, func(all *turns[string], failures *[]time.Duration) {
		all.wake("a", false)
		time.Sleep(20 * time.Second) // four failures and the success
		synctest.Wait()
		all.wake("a", false)
		synctest.Wait()
		if n := len(*failures); n != 5 || (*failures)[4] > firstRetry {
			t.Errorf("got waits %v, want the last one short again", *failures)
		}
	})
}

func TestAWakeEndsTheWaitBetweenTries(t *testing.T) {
	t.Parallel()
	runs := 0
	bubble(t, func(context.Context, string) error {
		if runs++; runs == 1 {
			return errors.New("no")
		}
		return nil
	}, func(all *turns[string], _ *[]time.Duration) {
		all.wake("a", false)
		synctest.Wait()
		all.wake("a", false)
		synctest.Wait() // no time passes in here
		if runs != 2 {
			t.Errorf("got %d turns, want the second at once", runs)
		}
	})
}

func TestAnInterruptCancelsTheTurnAndGivesAnother(t *testing.T) {
	t.Parallel()
	var ends []error
	bubble(t, func(ctx context.Context, _ string) error {
		if len(ends) > 0 {
			ends = append(ends, nil)
			return nil
		}
		<-ctx.Done()
		ends = append(ends, ctx.Err())
		return ctx.Err()
	}, func(all *turns[string], failures *[]time.Duration) {
		all.wake("a", false)
		synctest.Wait()
		all.wake("a", false)
		synctest.Wait()
		if len(ends) != 0 {
			t.Fatal("a plain wake ended the turn")
		}
		all.wake("a", true)
		synctest.Wait()
		if len(ends) != 2 || !errors.Is(ends[0], context.Canceled) {
			t.Errorf("got %v, want a cancelled turn and one more", ends)
		}
		if len(*failures) != 0 {
			t.Errorf("got %v told as failures, want an interrupt to be none", *failures)
		}
	})
}

func TestTurnsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var runs atomic.Int64
		all := newTurns(ctx, func(ctx context.Context, key string) error {
			runs.Add(1)
			if key == "waits" {
				<-ctx.Done()
			}
			return errors.New("no")
		}, func(string, error, time.Duration) {})
		all.wake("waits", false)
		all.wake("fails", false)
		synctest.Wait()
		cancel()
		all.wait()
		before := runs.Load()
		all.wake("late", false)
		all.wait()
		if runs.Load() != before {
			t.Error("a turn was given after the end")
		}
		if len(all.running) != 0 {
			t.Errorf("got %d keys left, want none", len(all.running))
		}
	})
}

// TestAReminderDoesNotCutAWaitShort is about what is asked for at every poll.
func TestAReminderDoesNotCutAWaitShort(t *testing.T) {
	t.Parallel()
	runs := 0
	bubble(t, func(context.Context, string) error {
		runs++
		return errors.New("no answer")
	}, func(all *turns[string], failures *[]time.Duration) {
		all.remind("a")
		for range 600 {
			time.Sleep(time.Second)
			all.remind("a")
		}
		synctest.Wait()
		if runs < 10 || runs > 30 { // after 1/2 s, 1 s, 2 s, … a minute
			t.Errorf("got %d turns in 10 minutes of reminders, want the waits between them kept", runs)
		}
		if last := (*failures)[len(*failures)-1]; last < lastRetry/2 {
			t.Errorf("got a wait of %v at last, want it ever longer", last)
		}
	})
}
