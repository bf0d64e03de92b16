package cli_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/cli"
)

// numbered is a GitHub on which every repository has the same numbers.
type numbered cli.Repository

func (n numbered) Repository(context.Context, string) (cli.Repository, error) {
	return cli.Repository(n), nil
}

// TestInitWrites compares what init writes into the repository of each story in
// testdata/init with what is wanted there. A story has the flags in args, GitHub's
// origin in origin, and the files of the repository in repo.
func TestInitWrites(t *testing.T) {
	t.Parallel()
	stories, err := os.ReadDir("testdata/init")
	if err != nil || len(stories) == 0 {
		t.Fatal("no stories", err)
	}
	for _, story := range stories {
		t.Run(story.Name(), func(t *testing.T) {
			t.Parallel()
			from, dir := filepath.Join("testdata/init", story.Name()), t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, "repo"))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			before := tree(t, dir)
			write(t, filepath.Join(dir, ".git/config"), "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = "+strings.TrimSpace(read(t, filepath.Join(from, "origin")))+"\n")
			write(t, filepath.Join(dir, ".git/HEAD"), "ref: refs/heads/main\n")
			var out, said strings.Builder
			inhaul := cli.Commands{Stdout: &out, Stderr: &said, Files: cli.Disk{}, Folders: cli.Disk{}, GitHub: func(string) (cli.GitHub, error) {
				if _, err := os.Stat(filepath.Join(from, "offline")); err == nil {
					return cli.GitHub{}, errors.New("there is no network")
				}
				return cli.GitHub{Repositories: numbered{Name: "acme/shop", ID: 1296269, OwnerID: 583231}}, nil
			}}
			code := inhaul.Run(t.Context(), append([]string{"init", dir}, strings.Fields(read(t, filepath.Join(from, "args")))...))
			if code != 0 {
				t.Fatalf("got exit code %d and\n%s", code, said.String())
			}
			got := tree(t, dir)
			for name, text := range before {
				if got[name] != text {
					t.Errorf("%s was there, and is another now", name)
				}
				delete(got, name)
			}
			got["said.txt"] = strings.ReplaceAll(said.String(), filepath.ToSlash(dir)+"/", "")
			compare(t, filepath.Join(from, "want"), got)
			if _, described := got["inhaul.yaml"]; described {
				if code := inhaul.Run(t.Context(), []string{"validate", filepath.Join(dir, "inhaul.yaml")}); code != 0 {
					t.Errorf("validate: got exit code %d and\n%s", code, said.String())
				}
			}
			said.Reset()
			if code := inhaul.Run(t.Context(), []string{"init", dir}); code != 0 || strings.Contains(said.String(), "wrote") {
				t.Errorf("once more: got exit code %d and\n%s\nwant 0 and nothing written", code, said.String())
			}
		})
	}
}

// compare compares files with those in a folder, or writes them there.
func compare(t *testing.T, folder string, got map[string]string) {
	t.Helper()
	if *update {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		for name, text := range got {
			write(t, filepath.Join(folder, name), text)
		}
	}
	if diff := cmp.Diff(tree(t, folder), got); diff != "" {
		t.Errorf("%s: got +, want -\n%s", folder, diff)
	}
}

// tree are the files below a folder, but for git's.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return filepath.SkipDir
		}
		if !entry.IsDir() {
			short, err := filepath.Rel(dir, name)
			files[filepath.ToSlash(short)] = read(t, name)
			return err
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
