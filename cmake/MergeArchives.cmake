# cmake -DAR=ar -DTARGET=lib.a -DARCHIVES=a.a,b.a -DSCRATCH=dir -P this
# Adds the objects of ARCHIVES to TARGET, so that whoever links TARGET needs no
# other file. Names get the archive's as a prefix: two may hold a same name.
file(REMOVE_RECURSE ${SCRATCH})
string(REPLACE "," ";" ARCHIVES "${ARCHIVES}")
foreach(archive IN LISTS ARCHIVES)
  get_filename_component(name ${archive} NAME_WE)
  set(folder ${SCRATCH}/${name})
  file(MAKE_DIRECTORY ${folder})
  execute_process(COMMAND ${AR} x ${archive}
    WORKING_DIRECTORY ${folder} COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB objects RELATIVE ${folder} ${folder}/*.o)
  list(SORT objects)
  set(members)
  foreach(object IN LISTS objects)
    file(RENAME ${folder}/${object} ${folder}/${name}_${object})
    list(APPEND members ${name}_${object})
  endforeach()
  execute_process(COMMAND ${AR} rDs ${TARGET} ${members}
    WORKING_DIRECTORY ${folder} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
