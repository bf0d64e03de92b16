package cluster

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

//nolint:unparam // because the name says which object it is
func stored(name, uid, version string) object {
	return &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(uid), ResourceVersion: version}}
}

func TestOverlay(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "ns", Name: "a-1"}
	tests := map[string]struct {
		write  func(v *overlay)
		cached []object
		later  time.Duration
		want   []string // resource versions
	}{
		"shows the cache when nothing was written": {
			write: func(*overlay) {}, cached: []object{stored("a-1", "u", "5")}, want: []string{"5"},
		},
		"shows a write that the cache lacks": {
			write: func(v *overlay) { v.wrote(stored("a-1", "u", "7")) }, want: []string{"7"},
		},
		"shows a write that is newer than the cache": {
			write:  func(v *overlay) { v.wrote(stored("a-1", "u", "10")) },
			cached: []object{stored("a-1", "u", "9")}, want: []string{"10"},
		},
		"shows the cache when it is newer, by number and not by text": {
			write:  func(v *overlay) { v.wrote(stored("a-1", "u", "9")) },
			cached: []object{stored("a-1", "u", "10")}, want: []string{"10"},
		},
		"keeps the newer of two writes": {
			write: func(v *overlay) { v.wrote(stored("a-1", "u", "10")); v.wrote(stored("a-1", "u", "9")) },
			want:  []string{"10"},
		},
		"hides what was deleted": {
			write:  func(v *overlay) { v.deleted(key, stored("a-1", "u", "9")) },
			cached: []object{stored("a-1", "u", "9")},
		},
		"hides what was written and deleted before the cache saw it": {
			write: func(v *overlay) { v.wrote(stored("a-1", "u", "9")); v.deleted(key, nil) },
		},
		"shows what was made anew after a deletion": {
			write:  func(v *overlay) { v.deleted(key, stored("a-1", "u", "9")) },
			cached: []object{stored("a-1", "other", "12")}, want: []string{"12"},
		},
		"forgets a write that the cache saw deleted": {
			write: func(v *overlay) { v.wrote(stored("a-1", "u", "9")); v.gone(stored("a-1", "u", "11")) },
		},
		"forgets a write that never came": {
			write: func(v *overlay) { v.wrote(stored("a-1", "u", "9")) }, later: 2 * overlayLife,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
			v := newOverlay(func() time.Time { return now })
			test.write(v)
			now = now.Add(test.later)
			for range 2 { // the second time has nothing left to clean up
				var got []string
				for _, o := range v.merge(test.cached, func(object) bool { return true }) {
					got = append(got, o.GetResourceVersion())
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
			}
		})
	}
}

func TestChangesCoalesceAndClose(t *testing.T) {
	t.Parallel()
	c := newChanges()
	ctx, cancel := context.WithCancel(t.Context())
	line := agent.Line{App: "shop", Environment: "production"}
	for range 1000 {
		c.note(line) // never waits, though nobody reads
	}
	done := make(chan struct{})
	go func() { defer close(done); c.deliver(ctx) }()
	if got := <-c.out; got != line {
		t.Errorf("got %v, want %v", got, line)
	}
	select {
	case got := <-c.out:
		t.Errorf("got %v a second time", got)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	<-done
	if _, open := <-c.out; open {
		t.Error("the channel is open after the end")
	}
}

func TestBells(t *testing.T) {
	t.Parallel()
	var b bells
	rung, stop := b.listen("ns/shop")
	b.ring("ns/other")
	select {
	case <-rung:
		t.Fatal("rung by another app")
	default:
	}
	b.ring("ns/shop")
	b.ring("ns/shop")
	<-rung
	select {
	case <-rung:
		t.Fatal("two rings were not told as one")
	default:
	}
	stop()
	b.ring("ns/shop")
	if len(b.watchers) != 0 {
		t.Errorf("watchers left: %v", b.watchers)
	}
}
