# cmake -DTOOL=mantissa -DFOLDER=dir -P this
# Writes what the tool prints about itself: completion for three shells and the
# manual page.
file(MAKE_DIRECTORY ${FOLDER})
function(print file)
  execute_process(COMMAND ${TOOL} ${ARGN}
    OUTPUT_FILE ${FOLDER}/${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
print(mantissa completion bash)
print(_mantissa completion zsh)
print(mantissa.fish completion fish)
print(mantissa.1 manual)
