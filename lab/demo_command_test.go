package main

import (
	"testing"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/parts"
)

func TestTheDemoPlaysOnALabOfItsOwn(t *testing.T) {
	t.Parallel()
	m := &machine{getenv: func(name string) string { return map[string]string{"HOME": "/home/mona"}[name] }}
	for _, mode := range []layout.Mode{layout.Kwok, layout.Real} {
		theirs := layout.DefaultDir(m.getenv, mode) // what lab up uses, and lab down without --dir
		got := (&demoCommand{}).up(m, parts.Builder{}).StateDir(mode)
		if want := theirs + "-demo"; got != want {
			t.Errorf("mode %s: got %s, want %s", mode, got, want)
		}
	}
	if got := (&demoCommand{Dir: "/srv/lab"}).up(m, parts.Builder{}).StateDir(layout.Kwok); got != "/srv/lab" {
		t.Errorf("got %s, want the directory that was asked for", got)
	}
}
