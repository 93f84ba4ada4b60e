// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is one of the cluster's long-running programs.
type daemon struct {
	name  string
	argv  []string
	files []string // configuration whose change makes a restart necessary
	// nice is the daemon's precedence over pods, as nice(1) has it: those that run on nodes of their own in a cluster must not wait for the
	// pods of this one.
	nice int
}

// identity names one process forever: another process may get the process id, but not with the same start time.
type identity struct {
	pid       int
	startTime uint64 // clock ticks after boot
	state     byte
}

// parseStat reads the identity from a line of /proc/PID/stat.
func parseStat(line string) (identity, error) {
	// The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return identity{}, fmt.Errorf("not a stat line: %q", line)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	if err != nil {
		return identity{}, fmt.Errorf("not a stat line: %w", err)
	}
	fields := strings.Fields(line[end+1:])
	const startTimeField = 22 - 3 // counted from the third field, the state
	if len(fields) <= startTimeField {
		return identity{}, fmt.Errorf("stat line too short: %q", line)
	}
	start, err := strconv.ParseUint(fields[startTimeField], 10, 64)
	if err != nil {
		return identity{}, fmt.Errorf("not a stat line: %w", err)
	}
	return identity{pid: pid, startTime: start, state: fields[0][0]}, nil
}

func identify(pid int) (identity, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, err
	}
	return parseStat(string(line))
}

// alive reports whether this very process still runs; a zombie does not.
func (i identity) alive() bool {
	now, err := identify(i.pid)
	return err == nil && now.startTime == i.startTime && now.state != 'Z' && now.state != 'X'
}

// signal sends s to this very process. It takes the handle before it compares the identity, so that no other process can get the
// process id in between.
func (i identity) signal(s os.Signal) error {
	p, err := os.FindProcess(i.pid)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	if !i.alive() {
		return os.ErrProcessDone
	}
	return p.Signal(s)
}

// end stops the process: by SIGTERM, and by SIGKILL after grace. Without grace it sends SIGKILL at once.
func (i identity) end(ctx context.Context, grace time.Duration) error {
	gone := func(context.Context) error {
		if i.alive() {
			return fmt.Errorf("process %d still runs", i.pid)
		}
		return nil
	}
	if grace > 0 {
		if err := i.signal(syscall.SIGTERM); err == nil && poll(ctx, grace, 20*time.Millisecond, gone) == nil {
			return nil
		}
	}
	if err := i.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return poll(ctx, 10*time.Second, 20*time.Millisecond, gone)
}

func (c *cluster) recordPath(name string) string { return filepath.Join(c.run, "procs", name+".stat") }
func (c *cluster) digestPath(name string) string {
	return filepath.Join(c.run, "procs", name+".digest")
}

// recorded returns the identity that the daemon recorded at its start.
func (c *cluster) recorded(name string) (identity, bool) {
	line, err := os.ReadFile(c.recordPath(name))
	if err != nil {
		return identity{}, false
	}
	id, err := parseStat(string(line))
	return id, err == nil
}

// recordedNames lists the daemons that have been started.
func (c *cluster) recordedNames() []string {
	files, _ := filepath.Glob(c.recordPath("*"))
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".stat"))
	}
	return names
}

func (c *cluster) running(name string) bool {
	id, ok := c.recorded(name)
	return ok && id.alive()
}

// digest changes with the daemon's arguments, binary or configuration.
func (d daemon) digest() (string, error) {
	h := sha256.New()
	binary, err := filepath.EvalSymlinks(d.argv[0])
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "%q %q %d\n", binary, d.argv[1:], d.nice)
	for _, name := range d.files {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%d\n%s", len(data), data)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ensure starts the daemon unless it runs with the current configuration.
func (c *cluster) ensure(ctx context.Context, d daemon) error {
	digest, err := d.digest()
	if err != nil {
		return err
	}
	if id, ok := c.recorded(d.name); ok && id.alive() {
		old, _ := os.ReadFile(c.digestPath(d.name))
		if string(old) == digest {
			return nil
		}
		c.printf("restarting %s: its configuration has changed", d.name)
		if err := id.end(ctx, 10*time.Second); err != nil {
			return err
		}
	} else {
		c.printf("starting %s", d.name)
	}
	if err := os.WriteFile(c.digestPath(d.name), []byte(digest), 0o600); err != nil {
		return err
	}
	return c.launch(d)
}

// launchScript records the process before it becomes the daemon, so every daemon has a record even if this program is killed. exec
// keeps the process id and the start time. The kernel may group the tasks of a session, and then reads the group's nice value (sched(7)).
const launchScript = `read -r stat < /proc/$$/stat && echo "$stat" > "$1" && nice="$2" && shift 2
if [ -w /proc/$$/autogroup ]; then echo "$nice" > /proc/$$/autogroup; fi
exec nice -n "$nice" nsenter --net=/run/netns/` + netnsName + ` "$@"`

func (c *cluster) launch(d daemon) error {
	logFile, err := os.OpenFile(c.logPath(d.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	// The daemon outlives this program, so no context ends it.
	cmd := exec.Command("sh", append([]string{"-c", launchScript, "sh", c.recordPath(d.name), strconv.Itoa(d.nice)}, d.argv...)...)
	cmd.Dir = c.state
	cmd.Env = []string{
		"PATH=" + filepath.Dir(d.argv[0]) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
	}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := os.Remove(c.recordPath(d.name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

func (c *cluster) logPath(name string) string { return c.path("logs", name+".log") }

// ready waits until the daemon answers. If it ends or the deadline passes, the error shows the last lines of its log.
func (c *cluster) ready(ctx context.Context, name string, deadline time.Duration, check func(context.Context) error) error {
	begin := time.Now()
	err := poll(ctx, deadline, 50*time.Millisecond, func(ctx context.Context) error {
		err := check(ctx)
		if err != nil && time.Since(begin) > time.Second && !c.running(name) {
			return fmt.Errorf("%w: %s has ended", errGiveUp, name)
		}
		return err
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s does not become ready: %w\nlast lines of %s:\n%s", name, err, c.logPath(name),
		lastLines(c.logPath(name), 20))
}

// lastLines returns the last n lines of a file.
func lastLines(name string, n int) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
