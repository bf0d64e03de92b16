package cli

import (
	"errors"
	"io/fs"
	"net/url"
	"strings"
)

// remote is where a repository is pushed to.
type remote struct {
	web        string // address of the GitHub that it is on
	repository string // owner/name
}

// readOrigin returns what .git/config calls origin; the zero remote if it does
// not say. In a work tree of its own .git is no folder: then flags say it.
func readOrigin(files fs.FS) remote {
	data, err := readCapped(files, ".git/config", maxGitConfig)
	if err != nil {
		return remote{}
	}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if section == `[remote "origin"]` && strings.EqualFold(strings.TrimSpace(key), "url") {
			return parseRemote(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return remote{}
}

// parseRemote reads an address that git pushes to, in any of its forms:
// https://git-scm.com/docs/git-clone#_git_urls. What it has of a login is
// dropped.
func parseRemote(address string) remote {
	host, way, scheme := "", "", "https"
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		host, way = u.Host, u.Path
		if u.Scheme == "http" {
			scheme = "http"
		} else if u.Scheme != "https" {
			host = u.Hostname() // the port is that of ssh
		}
	} else if before, after, ok := strings.Cut(address, ":"); ok && !strings.Contains(before, "/") {
		host, way = before[strings.LastIndexByte(before, '@')+1:], after
	}
	parts := strings.Split(strings.Trim(strings.TrimSuffix(strings.TrimRight(way, "/"), ".git"), "/"), "/")
	if host == "" || len(parts) != 2 {
		return remote{}
	}
	if host == "ssh.github.com" { // https://docs.github.com/en/authentication/troubleshooting-ssh/using-ssh-over-the-https-port
		host = "github.com"
	}
	return remote{scheme + "://" + host, strings.Join(parts, "/")}
}

// readBranch is the branch that is checked out; empty if none is.
func readBranch(files fs.FS) string {
	data, err := readCapped(files, ".git/HEAD", maxWord)
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "ref: refs/heads/")
	if err != nil || !ok {
		return ""
	}
	return branch
}

// absent reports whether an error says that a file is not there.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
