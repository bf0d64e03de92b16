package action

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheLogSaysWhatMattersInPlainLines(t *testing.T) {
	t.Parallel()
	const summary = "**web: TOKEN\\_OF is \\[gone\\] at https:\u200b//a.example, @\u200bacme::x &amp; more**\n\n" +
		"Rolled back to [release 4](https://github.com/acme/shop/a%28b%29) in 6 s.\n\n**Next:** set port: 3000.\n\n**Release 5, when it failed**\n\n| service | ready |\n|---|---|\n| web | 0 |\n"
	said, next := plainLines(summary)
	want := []string{"web: TOKEN_OF is [gone] at https://a.example, @acme:\u200b:x & more", "Rolled back to release 4 in 6 s."}
	if diff := cmp.Diff(want, said); diff != "" || next != "set port: 3000" {
		t.Errorf("next %q, -want +got:\n%s", next, diff)
	}
	for _, end := range []string{"| a | b |", "```text\nlog", "<details><summary>x</summary>"} {
		if said, next := plainLines("first\n\n" + end + "\n\nsecond"); len(said) != 1 || next != "" {
			t.Errorf("%q: got %q and %q, want what is before it alone", end, said, next)
		}
	}
	if said, _ := plainLines(strings.Repeat("a line\n", 100)); len(said) != maxPlainLines {
		t.Errorf("got %d lines, want %d", len(said), maxPlainLines)
	}
}
