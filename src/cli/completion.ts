import { type Argument, Argument as ShellArgument, type Command, type Option } from 'commander';
import type { CommandEnvironment } from './environment.ts';
import { type ExitCode, exitCodes, withExamples } from './options.ts';

/** `postern completion`: a script with which bash completes commands, options, files and names of backends. */
export function addCompletion(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const command = program
    .command('completion')
    .summary('print a script that completes this command in a shell')
    .description('Prints the script. Names of backends come from the running gateway.')
    .addArgument(new ShellArgument('<shell>', 'the shell').choices(['bash']))
    .action(() => {
      environment.print(bashCompletion(program));
      end(exitCodes.ok);
    });
  withExamples(command, [
    ['source <(postern completion bash)', 'for this shell'],
    ['postern completion bash > /etc/bash_completion.d/postern', 'for every shell of this machine'],
  ]);
}

/** Files, names of backends, or a text that nobody can know. */
type ValueKind = '@file' | '@backend' | '@text';

/** Makes the script for bash from the commands. */
function bashCompletion(program: Command): string {
  const commands: string[] = [];
  const options: string[] = [];
  const values: string[] = [];
  const named: string[] = [];
  for (const [path, command] of commandsUnder(program, program.name())) {
    const visible = command.commands.map((child) => child.name());
    if (visible.length > 0) commands.push(entry(path, visible.join(' ')));
    const flags = command.options.flatMap(flagsOf);
    options.push(entry(path, ['--help', ...flags].join(' ')));
    for (const option of command.options.filter(takesValue)) {
      for (const flag of flagsOf(option)) values.push(entry(`${path} ${flag}`, valueOf(option)));
    }
    for (const [index, argument] of command.registeredArguments.entries()) {
      named.push(entry(`${path} ${argument.variadic ? '*' : index}`, argumentValue(argument)));
    }
  }
  return script
    .replace('COMMANDS', () => commands.join('\n'))
    .replace('OPTIONS', () => options.join('\n'))
    .replace('VALUES', () => values.join('\n'))
    .replace('ARGUMENTS', () => named.join('\n'));
}

/** All commands with their paths, such as `postern backend set`. */
export function commandsUnder(command: Command, path: string): readonly (readonly [path: string, command: Command])[] {
  return [[path, command], ...command.commands.flatMap((child) => commandsUnder(child, `${path} ${child.name()}`))];
}

function entry(key: string, words: string): string {
  return `    [${quoted(key)}]=${quoted(words)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function flagsOf({ short, long }: Option): readonly string[] {
  return [short, long].filter((flag) => flag !== undefined);
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function valueOf(option: Option): string {
  if (option.argChoices !== undefined) return option.argChoices.join(' ');
  const name = /<([\w-]+)(?:\.\.\.)?>/.exec(option.flags)?.[1];
  return kindOf(option.long === '--backend' && name === 'name' ? 'backend' : name);
}

function argumentValue(argument: Argument): string {
  if (argument.argChoices !== undefined) return argument.argChoices.join(' ');
  const name = argument.name();
  return name === 'state' ? 'READY DRAIN MAINT' : kindOf(name === 'name' ? 'backend' : name);
}

function kindOf(name: string | undefined): ValueKind {
  if (name === 'backend') return '@backend';
  return name === 'file' || name === 'files' || name === 'old' || name === 'new' ? '@file' : '@text';
}

/** The words in capitals alone on a line are replaced by the entries of the tables. */
const script = String.raw`# Completion of postern for bash. Made by: postern completion bash
_postern() {
  local -A commands=(
COMMANDS
  )
  local -A options=(
OPTIONS
  )
  local -A values=(
VALUES
  )
  local -A named=(
ARGUMENTS
  )
  local cur=\${COMP_WORDS[COMP_CWORD]} path=postern at=0 kind='' word i
  local -a config=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == -* ]]; then
      [[ -n \${values[$path $word]:-} ]] || continue
      [[ $word == -c || $word == --config ]] && config=(-c "\${COMP_WORDS[i + 1]}")
      ((i + 1 == COMP_CWORD)) && kind=\${values[$path $word]}
      ((i++))
    elif [[ $at -eq 0 && " \${commands[$path]:-} " == *" $word "* ]]; then
      path+=" $word"
    else
      ((at++))
    fi
  done
  if [[ -z $kind ]]; then
    if [[ $cur == -* ]]; then
      kind=\${options[$path]:-}
    elif [[ $at -eq 0 && -n \${commands[$path]:-} ]]; then
      kind=\${commands[$path]}
    else
      kind=\${named[$path $at]:-\${named[$path *]:-@text}}
    fi
  fi
  case $kind in
    @text) ;;
    @file)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    @backend)
      # Names come from outside: compgen -W would expand $(…) in them, and run it.
      while read -r word _; do
        [[ $word =~ ^[A-Za-z0-9][A-Za-z0-9._/-]*$ && $word == "$cur"* ]] && COMPREPLY+=("$word")
      done < <("\${COMP_WORDS[0]}" backend list "\${config[@]}" 2>/dev/null | awk 'NR > 1 && !seen[$1]++ { print $1 }')
      ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$cur") ;;
  esac
}
complete -F _postern postern
`.replaceAll(String.raw`\${`, '${');
