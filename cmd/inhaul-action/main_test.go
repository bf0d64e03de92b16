package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/action"
	"github.com/inhaul/inhaul/internal/github"
	"github.com/inhaul/inhaul/internal/oci"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--help"}, 0, "Exit codes"},
		{[]string{"--version"}, 0, "\n"},
		{[]string{"--nonsense"}, 1, "Exit codes"},
		{nil, 1, "input image-repository: missing"},
	} {
		var out strings.Builder
		code := run(t.Context(), c.args, func(string) string { return "" }, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: got %d and\n%s\nwant %d and %q", c.args, code, out.String(), c.code, c.want)
		}
	}
}

func TestWhatTheUserCanMend(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		mendable(fmt.Errorf("publishing: %w: docker login", oci.ErrRefused)),
		mendable(oci.ErrNotFound),
		mendableToken(github.ErrNoIDToken),
	} {
		if action.ExitCode(err) != 1 {
			t.Errorf("%v: got exit code %d, want 1", err, action.ExitCode(err))
		}
	}
	other := errors.New("connection reset")
	if !errors.Is(mendable(other), other) || mendable(nil) != nil || action.ExitCode(other) != 2 {
		t.Error("an error of the network is not ours any more")
	}
}
